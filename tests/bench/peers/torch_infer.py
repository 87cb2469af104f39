"""PyTorch as a peer of `trit bench infer`: one timed forward pass per line read, seconds as answer.

    ./trit bench infer --model resnet18 --threads 1 \
        --peer "python3 tests/bench/peers/torch_infer.py --model resnet18 --mode fp32 --threads 1"

Modes: fp32 (eager), channels_last (fp32, NHWC memory), int8 (FX static quantization, x86 back end,
convolution + batch norm + ReLU fused).  Never needed to build or to test trit.
"""

import argparse
import sys
import time

import torch
from torch import nn


class Basic(nn.Module):
    def __init__(self, cin, cout, stride, cifar):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.down = nn.Identity()
        if stride != 1 or cin != cout:  # CIFAR: a projection, too; cheap beside the 3x3 layers
            self.down = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(y + self.down(x))


def resnet(name):
    cifar = name == "resnet20"
    widths, blocks = ((16, 32, 64), 3) if cifar else ((64, 128, 256, 512), 2)
    stem = [nn.Conv2d(3, widths[0], 3 if cifar else 7, 1 if cifar else 2, 1 if cifar else 3, bias=False),
            nn.BatchNorm2d(widths[0]), nn.ReLU()]
    if not cifar:
        stem.append(nn.MaxPool2d(3, 2, 1))
    layers, cin = [], widths[0]
    for stage, width in enumerate(widths):
        for i in range(blocks):
            layers.append(Basic(cin, width, 2 if i == 0 and stage > 0 else 1, cifar))
            cin = width
    return nn.Sequential(*stem, *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(cin, 10 if cifar else 1000)).eval()


def quantized(net, x):
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx
    torch.backends.quantized.engine = "x86"
    prepared = prepare_fx(net, get_default_qconfig_mapping("x86"), example_inputs=(x,))
    prepared(x)
    return convert_fx(prepared)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=("resnet18", "resnet20"), default="resnet18")
    parser.add_argument("--mode", choices=("fp32", "channels_last", "int8"), default="fp32")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    net = resnet(args.model)
    side = 32 if args.model == "resnet20" else 224
    x = torch.randn(args.batch, 3, side, side)
    if args.mode == "int8":
        net = quantized(net, x)
    if args.mode != "fp32":
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        for _ in range(3):
            net(x)
        print("PyTorch %s %s" % (torch.__version__.split("+")[0], args.mode), flush=True)
        for _ in sys.stdin:
            began = time.perf_counter()
            net(x)
            print(time.perf_counter() - began, flush=True)


main()
