"""PyTorch as a peer of `trit bench train`: one training step per line read, its seconds as answer.

    P="python3 tests/bench/peers/torch_train.py --threads {threads} --batch {batch}"
    ./trit bench train --model resnet20 --batch 128 --peer "$P" --peer "$P --tuned"

The same networks (type-A shortcuts on 32x32 images, projections on 224x224), loss and SGD as
lua/trit/bench/train.lua.  --tuned: channels-last memory, in-place ReLU and addition, AVX-512 in ATen, and an
allocator that keeps its memory (the script starts itself again with the environment that takes).
--isa avx2 keeps both ATen and oneDNN at AVX2.

--quant tga is the sequential scheme of He & Fan (CVPR 2019) as their code writes it: threshold pass and
weight pass on the same batch, thresholds clipped at 3 sigma, mu and sigma differentiable inside the
scale, a straight-through estimator divided by the scale, threshold gradients clamped to 1e-3.

--act-bits N quantizes what goes into every layer but the first to the 2^N levels of DoReFa-Net in [0, 1],
with its straight-through gradient.

Never needed to build or to test trit.  Needs torch 2.x in the Python that runs it.
"""

import argparse
import math
import os
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="resnet20", choices=["resnet20", "resnet18"])
parser.add_argument("--batch", type=int, default=128)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--quant", default="none", choices=["none", "tga", "twn"])
parser.add_argument("--act-bits", type=int, default=0)
parser.add_argument("--isa", default="best", choices=["best", "avx2"])
parser.add_argument("--tuned", action="store_true")
args = parser.parse_args()

wanted = {}
if args.tuned:
    wanted.update(MALLOC_MMAP_THRESHOLD_="4000000000", MALLOC_TRIM_THRESHOLD_="8000000000",
                  GLIBC_TUNABLES="glibc.malloc.hugetlb=1")
    if args.isa == "best":
        wanted["ATEN_CPU_CAPABILITY"] = "avx512"
if args.isa == "avx2":
    wanted.update(ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2", DNNL_MAX_CPU_ISA="AVX2")
if any(os.environ.get(k) != v for k, v in wanted.items()):
    os.environ.update(wanted)
    os.execv(sys.executable, [sys.executable] + sys.argv)

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402


class Ternarize(torch.autograd.Function):
    """Codes of w by the cuts mu +- delta; the gradient goes straight through, divided by the scale."""

    @staticmethod
    def forward(ctx, w, mu, delta, scale):
        ctx.save_for_backward(scale)
        return (w > mu + delta).to(w.dtype) - (w < mu - delta).to(w.dtype)

    @staticmethod
    def backward(ctx, g):
        return g / ctx.saved_tensors[0], None, None, None


class Levels(torch.autograd.Function):
    """x in [0, 1] by the nearest of n + 1 levels; the gradient goes straight through inside."""

    @staticmethod
    def forward(ctx, x, n):
        ctx.save_for_backward(x)
        return torch.round(x.clamp(0, 1) * n) / n

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return g * ((x >= 0) & (x <= 1)), None


class Ternary:
    """What a layer's weight and input become; mixed into Conv2d and Linear."""

    quantizes_input = args.act_bits > 0

    def input(self, x):
        return Levels.apply(x, 2 ** args.act_bits - 1) if self.quantizes_input else x

    def prepare(self):
        if args.quant == "tga":
            self.delta = nn.Parameter(0.05 * self.weight.detach().abs().max())
            self.delta.register_hook(lambda g: g.clamp(-1e-3, 1e-3))

    def effective(self):
        w = self.weight
        if args.quant == "none":
            return w
        if args.quant == "twn":
            delta = 0.7 * w.detach().abs().mean()
            kept = w.detach().abs() > delta
            scale = w.detach().abs()[kept].mean()
            return scale * Ternarize.apply(w, 0.0, delta, scale)
        mu, sigma = w.mean(), w.std()
        delta = F.hardtanh(self.delta.abs(), -3 * sigma.item(), 3 * sigma.item())
        z = delta / sigma
        density = torch.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        scale = mu + sigma * density / (0.5 * torch.erfc(z / math.sqrt(2)))
        codes = Ternarize.apply(w, mu.item(), delta.item(), scale.detach())
        return scale * codes


class Conv(nn.Conv2d, Ternary):
    def __init__(self, cin, cout, kernel, stride, padding):
        super().__init__(cin, cout, kernel, stride, padding, bias=False)
        self.prepare()

    def forward(self, x):
        return F.conv2d(self.input(x), self.effective(), None, self.stride, self.padding)


class Dense(nn.Linear, Ternary):
    def __init__(self, cin, cout):
        super().__init__(cin, cout)
        self.prepare()

    def forward(self, x):
        return F.linear(self.input(x), self.effective(), self.bias)


def relu(x):
    return F.relu(x, inplace=args.tuned)


class Block(nn.Module):
    def __init__(self, cin, cout, stride, projects):
        super().__init__()
        self.conv1, self.bn1 = Conv(cin, cout, 3, stride, 1), nn.BatchNorm2d(cout)
        self.conv2, self.bn2 = Conv(cout, cout, 3, 1, 1), nn.BatchNorm2d(cout)
        self.stride, self.extra, self.down = stride, cout - cin, None
        if projects and (stride != 1 or cin != cout):
            self.down = nn.Sequential(Conv(cin, cout, 1, stride, 0), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        if self.down is not None:
            x = self.down(x)
        elif self.extra:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.extra))
        return relu(y.add_(x) if args.tuned else y + x)


class ResNet(nn.Module):
    def __init__(self, small):
        super().__init__()
        widths, blocks = ((16, 32, 64), 3) if small else ((64, 128, 256, 512), 2)
        self.conv1 = Conv(3, widths[0], 3, 1, 1) if small else Conv(3, widths[0], 7, 2, 3)
        self.conv1.quantizes_input = False
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.pool = None if small else nn.MaxPool2d(3, 2, 1)
        layers, cin = [], widths[0]
        for width in widths:
            for i in range(blocks):
                layers.append(Block(cin, width, 2 if i == 0 and width != widths[0] else 1, not small))
                cin = width
        self.layers, self.fc = nn.Sequential(*layers), Dense(cin, 10 if small else 1000)

    def forward(self, x):
        x = relu(self.bn1(self.conv1(x)))
        x = self.layers(x if self.pool is None else self.pool(x))
        return self.fc(x.mean((2, 3)))


def main():
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    size = 32 if args.model == "resnet20" else 224
    net = ResNet(args.model == "resnet20")
    x = torch.randn(args.batch, 3, size, size)
    y = torch.arange(args.batch) % (10 if size == 32 else 1000)
    if args.tuned:
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    thresholds = [p for n, p in net.named_parameters() if n.endswith("delta")]
    others = [p for n, p in net.named_parameters() if not n.endswith("delta")]
    sgd = dict(momentum=0.9, nesterov=True)
    optimizer = torch.optim.SGD(others, 0.01, weight_decay=5e-4, **sgd)
    threshold_optimizer = torch.optim.SGD(thresholds, 0.001, **sgd) if thresholds else None

    def one_pass(update):
        optimizer.zero_grad()
        if threshold_optimizer:
            threshold_optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        update.step()
        return loss

    def step():
        if threshold_optimizer:
            one_pass(threshold_optimizer)
        return one_pass(optimizer)

    for _ in range(2):
        loss = step()
    assert math.isfinite(loss.item())
    print("PyTorch %s%s, %s, batch %d, %d threads" % (
        torch.__version__, " tuned" if args.tuned else "", torch.backends.cpu.get_cpu_capability(),
        args.batch, torch.get_num_threads()), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        step()
        print(time.perf_counter() - began, flush=True)


main()
