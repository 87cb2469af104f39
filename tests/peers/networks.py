"""The networks of trit.models in PyTorch, written from their papers for comparison.

Layer names are those of torchvision.  make(name, options) builds one; options are trit's.
"""
import torch
import torch.nn.functional as F
from torch import nn


def conv(cin, cout, k, stride=1, padding=0, groups=1, bias=False):
    return nn.Conv2d(cin, cout, k, stride, padding, groups=groups, bias=bias)


def stages(m):
    names = [n for n in ("layer1", "layer2", "layer3", "layer4") if hasattr(m, n)]
    return [getattr(m, n) for n in names]


class BlockA(nn.Module):
    """Basic block of CIFAR ResNets; the shortcut subsamples and appends zero channels."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(cin, cout, 3, stride, 1), nn.BatchNorm2d(cout)
        self.conv2, self.bn2 = conv(cout, cout, 3, 1, 1), nn.BatchNorm2d(cout)
        self.stride, self.extra = stride, cout - cin

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        s = x[:, :, ::self.stride, ::self.stride]
        return F.relu(y + F.pad(s, (0, 0, 0, 0, 0, self.extra)))


class ResNetCifar(nn.Module):
    def __init__(self, depth, o):
        super().__init__()
        w, n = o["width"], (depth - 2) // 6
        self.conv1, self.bn1 = conv(o["channels"], w, 3, 1, 1), nn.BatchNorm2d(w)
        cin = w
        for s in range(3):
            blocks = []
            for i in range(n):
                blocks.append(BlockA(cin, w << s, 2 if s and not i else 1))
                cin = w << s
            setattr(self, f"layer{s + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(cin, o["classes"])

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for s in stages(self):
            x = s(x)
        return self.fc(x.mean((2, 3)))


def projection(cin, cout, stride):
    return nn.Sequential(conv(cin, cout, 1, stride), nn.BatchNorm2d(cout))


class Basic(nn.Module):
    expansion = 1

    def __init__(self, cin, planes, stride, groups, base):
        super().__init__()
        self.conv1, self.bn1 = conv(cin, planes, 3, stride, 1), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = conv(planes, planes, 3, 1, 1), nn.BatchNorm2d(planes)
        if stride != 1 or cin != planes:
            self.downsample = projection(cin, planes, stride)

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, cin, planes, stride, groups, base):
        super().__init__()
        w, cout = int(planes * base / 64) * groups, 4 * planes
        self.conv1, self.bn1 = conv(cin, w, 1), nn.BatchNorm2d(w)
        self.conv2, self.bn2 = conv(w, w, 3, stride, 1, groups), nn.BatchNorm2d(w)
        self.conv3, self.bn3 = conv(w, cout, 1), nn.BatchNorm2d(cout)
        if stride != 1 or cin != cout:
            self.downsample = projection(cin, cout, stride)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y)))))
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class ResNet(nn.Module):
    """ImageNet ResNets and all ResNeXts (small = stem for 32x32 images)."""

    def __init__(self, o, block, counts, groups=1, base=64, small=False):
        super().__init__()
        self.small, ch = small, o["channels"]
        self.conv1 = conv(ch, 64, 3, 1, 1) if small else conv(ch, 64, 7, 2, 3)
        self.bn1, cin = nn.BatchNorm2d(64), 64
        for s, count in enumerate(counts):
            blocks = []
            for i in range(count):
                blocks.append(block(cin, 64 << s, 2 if s and not i else 1, groups, base))
                cin = (64 << s) * block.expansion
            setattr(self, f"layer{s + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(cin, o["classes"])

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        if not self.small:
            x = F.max_pool2d(x, 3, 2, 1)
        for s in stages(self):
            x = s(x)
        return self.fc(x.mean((2, 3)))


class LeNet(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.conv1, self.bn1 = conv(o["channels"], 32, 5), nn.BatchNorm2d(32)
        self.conv2, self.bn2 = conv(32, 64, 5), nn.BatchNorm2d(64)
        side = ((o["size"] - 4) // 2 - 4) // 2
        self.fc1, self.bn3 = nn.Linear(64 * side * side, 512, bias=False), nn.BatchNorm1d(512)
        self.fc2 = nn.Linear(512, o["classes"])

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        return self.fc2(F.relu(self.bn3(self.fc1(x.flatten(1)))))


class Chain(nn.Module):
    """features, then flatten, then classifier."""

    def __init__(self, features, classifier):
        super().__init__()
        self.features, self.classifier = nn.Sequential(*features), nn.Sequential(*classifier)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def vgg(o, hidden):
    layers, cin = [], o["channels"]
    for factor in (1, 2, 4):
        for _ in range(2):
            cout = factor * o["width"]
            layers += [conv(cin, cout, 3, 1, 1), nn.BatchNorm2d(cout), nn.ReLU()]
            cin = cout
        layers.append(nn.MaxPool2d(2))
    nin, head = cin * (o["size"] // 8) ** 2, []
    for w in hidden:
        head += [nn.Linear(nin, w, bias=False), nn.BatchNorm1d(w), nn.ReLU()]
        nin = w
    return Chain(layers, head + [nn.Linear(nin, o["classes"])])


def alexnet(o):
    layers, cin = [], o["channels"]
    for cout, k, stride, pad, pool in ((96, 11, 4, 2, 1), (256, 5, 1, 2, 1), (384, 3, 1, 1, 0),
                                       (384, 3, 1, 1, 0), (256, 3, 1, 1, 1)):
        layers += [conv(cin, cout, k, stride, pad), nn.BatchNorm2d(cout), nn.ReLU()]
        layers += [nn.MaxPool2d(3, 2)] if pool else []
        cin = cout
    flat = nn.Sequential(*layers).eval()(torch.zeros(1, o["channels"], o["size"], o["size"])).numel()
    head = []
    for nin in (flat, 4096):
        head += [nn.Linear(nin, 4096, bias=False), nn.BatchNorm1d(4096), nn.ReLU()]
    return Chain(layers, head + [nn.Linear(4096, o["classes"])])


class DenseLayer(nn.Module):
    def __init__(self, cin, k):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(cin), conv(cin, 4 * k, 1)
        self.norm2, self.conv2 = nn.BatchNorm2d(4 * k), conv(4 * k, k, 3, 1, 1)

    def forward(self, x):
        return self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))


class DenseBlock(nn.Module):
    def __init__(self, n, cin, k):
        super().__init__()
        for i in range(n):
            setattr(self, f"denselayer{i + 1}", DenseLayer(cin + i * k, k))

    def forward(self, x):
        parts = [x]
        for layer in self.children():
            parts.append(layer(torch.cat(parts, 1)))
        return torch.cat(parts, 1)


class DenseNet(nn.Module):
    def __init__(self, o, blocks, k, small=False):
        super().__init__()
        self.features, c = nn.Module(), 2 * k
        self.count, self.small, f = len(blocks), small, self.features
        f.conv0 = conv(o["channels"], c, 3, 1, 1) if small else conv(o["channels"], c, 7, 2, 3)
        if not small:
            f.norm0 = nn.BatchNorm2d(c)
        for i, n in enumerate(blocks, 1):
            setattr(f, f"denseblock{i}", DenseBlock(n, c, k))
            c += n * k
            if i < len(blocks):
                t = nn.Module()
                t.norm, t.conv = nn.BatchNorm2d(c), conv(c, c // 2, 1)
                setattr(f, f"transition{i}", t)
                c //= 2
        f.norm5 = nn.BatchNorm2d(c)
        self.classifier = nn.Linear(c, o["classes"])

    def forward(self, x):
        f = self.features
        x = f.conv0(x)
        if not self.small:
            x = F.max_pool2d(F.relu(f.norm0(x)), 3, 2, 1)
        for i in range(1, self.count + 1):
            x = getattr(f, f"denseblock{i}")(x)
            if i < self.count:
                t = getattr(f, f"transition{i}")
                x = F.avg_pool2d(t.conv(F.relu(t.norm(x))), 2)
        return self.classifier(F.relu(f.norm5(x)).mean((2, 3)))


class Inverted(nn.Module):
    def __init__(self, cin, cout, stride, t):
        super().__init__()
        h, parts = cin * t, []
        if t != 1:
            parts.append(nn.Sequential(conv(cin, h, 1), nn.BatchNorm2d(h), nn.ReLU6()))
        parts.append(nn.Sequential(conv(h, h, 3, stride, 1, h), nn.BatchNorm2d(h), nn.ReLU6()))
        self.conv = nn.Sequential(*parts, conv(h, cout, 1), nn.BatchNorm2d(cout))
        self.residual = stride == 1 and cin == cout

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, o):
        super().__init__()

        def wide(c):
            v = max(8, int(c * o["width"] + 4) // 8 * 8)
            return v + 8 if v < 0.9 * c * o["width"] else v

        def unit(cin, cout, k, stride):
            return nn.Sequential(conv(cin, cout, k, stride, k // 2), nn.BatchNorm2d(cout), nn.ReLU6())

        cin = wide(32)
        layers = [unit(o["channels"], cin, 3, 2)]
        for t, c, n, s in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                           (6, 160, 3, 2), (6, 320, 1, 1)):
            for i in range(n):
                layers.append(Inverted(cin, wide(c), 1 if i else s, t))
                cin = wide(c)
        top = int(max(1280, wide(1280))) if o["width"] > 1 else 1280
        self.features = nn.Sequential(*layers, unit(cin, top, 1, 1))
        self.classifier = nn.Sequential(nn.Dropout(o["dropout"]), nn.Linear(top, o["classes"]))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class Unit(nn.Module):
    """Convolution, batch norm with eps 1e-3, ReLU."""

    def __init__(self, cin, cout, k, stride=1, padding=0):
        super().__init__()
        self.conv, self.bn = conv(cin, cout, k, stride, padding), nn.BatchNorm2d(cout, eps=1e-3)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class MixedA(nn.Module):
    def __init__(self, cin, pooled):
        super().__init__()
        self.branch1x1 = Unit(cin, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = Unit(cin, 48, 1), Unit(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Unit(cin, 64, 1)
        self.branch3x3dbl_2, self.branch3x3dbl_3 = Unit(64, 96, 3, padding=1), Unit(96, 96, 3, padding=1)
        self.branch_pool = Unit(cin, pooled, 1)

    def forward(self, x):
        return torch.cat([
            self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            self.branch_pool(F.avg_pool2d(x, 3, 1, 1))], 1)


class MixedB(nn.Module):
    def __init__(self, cin):
        super().__init__()
        self.branch3x3 = Unit(cin, 384, 3, 2)
        self.branch3x3dbl_1 = Unit(cin, 64, 1)
        self.branch3x3dbl_2, self.branch3x3dbl_3 = Unit(64, 96, 3, padding=1), Unit(96, 96, 3, 2)

    def forward(self, x):
        return torch.cat([
            self.branch3x3(x), self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            F.max_pool2d(x, 3, 2)], 1)


class MixedC(nn.Module):
    def __init__(self, cin, c):
        super().__init__()
        row, col = dict(k=(1, 7), padding=(0, 3)), dict(k=(7, 1), padding=(3, 0))
        self.branch1x1 = Unit(cin, 192, 1)
        self.branch7x7_1 = Unit(cin, c, 1)
        self.branch7x7_2, self.branch7x7_3 = Unit(c, c, **row), Unit(c, 192, **col)
        self.branch7x7dbl_1 = Unit(cin, c, 1)
        self.branch7x7dbl_2, self.branch7x7dbl_3 = Unit(c, c, **col), Unit(c, c, **row)
        self.branch7x7dbl_4, self.branch7x7dbl_5 = Unit(c, c, **col), Unit(c, 192, **row)
        self.branch_pool = Unit(cin, 192, 1)

    def forward(self, x):
        d = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        return torch.cat([
            self.branch1x1(x), self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
            self.branch7x7dbl_5(self.branch7x7dbl_4(d)), self.branch_pool(F.avg_pool2d(x, 3, 1, 1))], 1)


class MixedD(nn.Module):
    def __init__(self, cin):
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = Unit(cin, 192, 1), Unit(192, 320, 3, 2)
        self.branch7x7x3_1 = Unit(cin, 192, 1)
        self.branch7x7x3_2 = Unit(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = Unit(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = Unit(192, 192, 3, 2)

    def forward(self, x):
        b = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return torch.cat([
            self.branch3x3_2(self.branch3x3_1(x)), self.branch7x7x3_4(b), F.max_pool2d(x, 3, 2)], 1)


class MixedE(nn.Module):
    def __init__(self, cin):
        super().__init__()
        row, col = dict(k=(1, 3), padding=(0, 1)), dict(k=(3, 1), padding=(1, 0))
        self.branch1x1 = Unit(cin, 320, 1)
        self.branch3x3_1 = Unit(cin, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = Unit(384, 384, **row), Unit(384, 384, **col)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Unit(cin, 448, 1), Unit(448, 384, 3, padding=1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = Unit(384, 384, **row), Unit(384, 384, **col)
        self.branch_pool = Unit(cin, 192, 1)

    def forward(self, x):
        a, b = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return torch.cat([
            self.branch1x1(x), self.branch3x3_2a(a), self.branch3x3_2b(a), self.branch3x3dbl_3a(b),
            self.branch3x3dbl_3b(b), self.branch_pool(F.avg_pool2d(x, 3, 1, 1))], 1)


class Aux(nn.Module):
    def __init__(self, cin, classes):
        super().__init__()
        self.conv0, self.conv1 = Unit(cin, 128, 1), Unit(128, 768, 5)
        self.fc = nn.Linear(768, classes)

    def forward(self, x):
        return self.fc(self.conv1(self.conv0(F.avg_pool2d(x, 5, 3))).mean((2, 3)))


class Inception(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = Unit(o["channels"], 32, 3, 2), Unit(32, 32, 3)
        self.Conv2d_2b_3x3, self.Conv2d_3b_1x1 = Unit(32, 64, 3, padding=1), Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = MixedA(192, 32), MixedA(256, 64), MixedA(288, 64)
        self.Mixed_6a, self.Mixed_6b = MixedB(288), MixedC(768, 128)
        self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = MixedC(768, 160), MixedC(768, 160), MixedC(768, 192)
        if o["aux"]:
            self.AuxLogits = Aux(768, o["classes"])
        self.Mixed_7a, self.Mixed_7b, self.Mixed_7c = MixedD(768), MixedE(1280), MixedE(2048)
        self.dropout, self.fc = nn.Dropout(o["dropout"]), nn.Linear(2048, o["classes"])

    def forward(self, x):
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        aux = self.AuxLogits(x) if self.training and hasattr(self, "AuxLogits") else None
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        y = self.fc(self.dropout(x.mean((2, 3))))
        return y if aux is None else (y, aux)


MAKERS = {
    "lenet5": LeNet,
    "vgg7": lambda o: vgg(o, [1024]),
    "vgg_small": lambda o: vgg(o, []),
    "alexnet_bn": alexnet,
    "resnet18": lambda o: ResNet(o, Basic, [2, 2, 2, 2]),
    "resnet34": lambda o: ResNet(o, Basic, [3, 4, 6, 3]),
    "resnet50": lambda o: ResNet(o, Bottleneck, [3, 4, 6, 3]),
    "resnet101": lambda o: ResNet(o, Bottleneck, [3, 4, 23, 3]),
    "resnext50_32x4d": lambda o: ResNet(o, Bottleneck, [3, 4, 6, 3], 32, 4),
    "resnext101_32x4d": lambda o: ResNet(o, Bottleneck, [3, 4, 23, 3], 32, 4),
    "resnext101_64x4d": lambda o: ResNet(o, Bottleneck, [3, 4, 23, 3], 64, 4),
    "resnext29_8x64d": lambda o: ResNet(o, Bottleneck, [3, 3, 3], 8, 64, small=True),
    "resnext29_16x64d": lambda o: ResNet(o, Bottleneck, [3, 3, 3], 16, 64, small=True),
    "densenet121": lambda o: DenseNet(o, [6, 12, 24, 16], 32),
    "densenet161": lambda o: DenseNet(o, [6, 12, 36, 24], 48),
    "densenet169": lambda o: DenseNet(o, [6, 12, 32, 32], 32),
    "densenet201": lambda o: DenseNet(o, [6, 12, 48, 32], 32),
    "densenet_bc_40_12": lambda o: DenseNet(o, [6] * 3, 12, small=True),
    "densenet_bc_100_12": lambda o: DenseNet(o, [16] * 3, 12, small=True),
    "mobilenet_v2": MobileNetV2,
    "inception_v3": Inception,
}


def make(name, options):
    if name in MAKERS:
        return MAKERS[name](options)
    return ResNetCifar(int(name.removeprefix("resnet")), options)
