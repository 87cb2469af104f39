"""One training step and one evaluation of a network in float64, for trit to compare with.

    compare.py NAME OPTIONS.json IN.safetensors OUT.safetensors

IN holds the model's tensors by name and, under "test.", x [N,C,H,W] and y [N] (classes from 0).
OUT gets logits (and aux) of the training forward, the loss with label smoothing 0.1, every
parameter's gradient under "grad.", the moved running statistics under "buffer.", eval: the logits
afterwards, and float32: the errors of the same step in single precision (gradients, logits).
"""
import json
import struct
import sys

import torch
import torch.nn.functional as F

import networks

TYPES = {"F32": torch.float32}


def read(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = bytearray(f.read())
    out = {}
    for name, e in header.items():
        if name != "__metadata__":
            begin, end = e["data_offsets"]
            flat = torch.frombuffer(data, dtype=TYPES[e["dtype"]], count=(end - begin) // 4, offset=begin) \
                if end > begin else torch.zeros(0)
            out[name] = flat.reshape(e["shape"]).double()
    return out


def write(path, tensors):
    header, blobs, at = {}, [], 0
    for name, t in tensors.items():
        blob = t.detach().double().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F64", "shape": list(t.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for blob in blobs:
            f.write(blob)


def step(net, x, y, options):
    """Training forward and backward: logits, aux or None, loss."""
    out = net.train()(x)
    logits, aux = out if isinstance(out, tuple) else (out, None)
    loss = F.cross_entropy(logits, y, label_smoothing=0.1)
    if aux is not None:
        loss = loss + options["aux_weight"] * F.cross_entropy(aux, y, label_smoothing=0.1)
    loss.backward()
    return logits, aux, loss


def single_precision(make, x, y, options, exact, logits):
    """How far PyTorch's own float32 is from float64: gradients (2-norm), logits (largest value)."""
    net = make().float()
    got, _, _ = step(net, x.float(), y, options)
    difference = length = 0.0
    for (_, p), (_, q) in zip(net.named_parameters(), exact.named_parameters()):
        difference += (p.grad.double() - q.grad).square().sum().item()
        length += q.grad.square().sum().item()
    return torch.tensor([(difference / length) ** 0.5,
                         ((got.double() - logits).abs().max() / logits.abs().max()).item()])


def main(name, options, source, target):
    torch.set_num_threads(2)
    with open(options) as f:
        options = json.load(f)
    given = read(source)
    x, y = given.pop("test.x"), given.pop("test.y").long()

    def make():
        net = networks.make(name, options).double()
        counters = {k: t for k, t in net.state_dict().items() if k.endswith("num_batches_tracked")}
        net.load_state_dict({**given, **counters})  # strict: the names must be the same
        return net

    net = make()
    logits, aux, loss = step(net, x, y, options)
    result = {"logits": logits, "loss": loss.reshape(1)}
    if aux is not None:
        result["aux"] = aux
    for key, p in net.named_parameters():
        result["grad." + key] = p.grad
    for key, t in net.named_buffers():
        if "running" in key:
            result["buffer." + key] = t
    result["float32"] = single_precision(make, x, y, options, net, logits)
    with torch.no_grad():
        result["eval"] = net.eval()(x)
    write(target, result)


main(*sys.argv[1:])
