"""Small networks in which units are coupled in every supported way, for the tests of `shrink`."""

import torch
from torch import nn
from torch.nn import functional


def conv_bn(inputs, outputs, kernel=3, **options):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, bias=False, **options), nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """As in ResNet: two convolutions, a sum with what came in, or with a projection of it."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.first, self.second = (
            conv_bn(inputs, outputs, stride=stride, padding=1),
            conv_bn(outputs, outputs, padding=1),
        )
        self.downsample = conv_bn(inputs, outputs, 1, stride=stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        out = self.second(functional.relu(self.first(x)))
        out += self.downsample(x)
        return torch.relu_(out)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.layers = conv_bn(3, 8, padding=1), nn.Sequential(Block(8, 8), Block(8, 16, 2), Block(16, 16))
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        return self.head(self.layers(self.stem(x).relu()).mean([2, 3]))


class Cat(nn.Module):
    """Two branches side by side, then one whose columns come after both."""

    def __init__(self):
        super().__init__()
        self.left, self.right, self.joined = nn.Conv2d(3, 6, 3), nn.Conv2d(3, 10, 3), nn.Conv2d(16 + 3, 7, 1)
        self.head = nn.Linear(7 * 4, 4)

    def forward(self, x):
        both = torch.cat([functional.relu(self.left(x)), self.right(x).tanh(), x[:, :, 1:-1, 1:-1]], 1)
        x = functional.adaptive_avg_pool2d(functional.relu(self.joined(both)), 2)
        return self.head(x.view(x.size(0), -1))


class Twice(nn.Module):
    """One layer called twice: what it takes in is one set of units, what it makes another."""

    def __init__(self):
        super().__init__()
        self.one, self.shared, self.norm, self.head = (
            nn.Linear(6, 12),
            nn.Linear(12, 12),
            nn.BatchNorm1d(12),
            nn.Linear(12, 3),
        )

    def forward(self, x):
        x = torch.relu(self.one(x))
        return self.head(self.norm(self.shared(self.norm(self.shared(x)).relu())).relu())


class Attention(nn.Module):
    """A transformer's block of which the heads cannot be followed, but the layers after them can."""

    def __init__(self, width=16, heads=2):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, mask=None):
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads).unbind(2)
        heads = [part.transpose(1, 2) for part in (q, k, v)]
        if mask is not None:
            raise NotImplementedError
        x = x + self.out(functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))
        return x + self.fc2(functional.gelu(self.fc1(self.norm2(x))))


class Text(nn.Module):
    """An embedding, a multi-head attention that nobody looks into, PyTorch's own layer, and a head for each token."""

    def __init__(self):
        super().__init__()
        self.embedding, self.up = nn.Embedding(30, 12), nn.Linear(12, 16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 24, batch_first=True), 2)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        x = self.up(self.embedding(x))
        return self.head(self.encoder(x + self.attention(x, x, x, need_weights=False)[0]))


def lenet_5():
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)),
    )


def vgg():
    return nn.Sequential(
        *(conv_bn(3, 8, padding=1), nn.ReLU(), conv_bn(8, 8, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(conv_bn(8, 12, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.5)),
        *(nn.Linear(48, 20), nn.ReLU(), nn.Linear(20, 5)),
    )


def separable():
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 16, 3, groups=8), nn.PReLU(16)),
        *(nn.Conv2d(16, 12, 1), nn.Hardswish(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(12, 4)),
    )


def grouped():
    return nn.Sequential(
        *(nn.Conv2d(3, 12, 3), nn.ReLU(), nn.Conv2d(12, 18, 3, groups=3), nn.ReLU(), nn.Conv2d(18, 8, 3, groups=2)),
        *(nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 4)),
    )


def sequence():
    return nn.Sequential(
        *(nn.Conv1d(4, 10, 3), nn.BatchNorm1d(10), nn.ReLU(), nn.AvgPool1d(2), nn.Conv1d(10, 6, 3), nn.LeakyReLU()),
        *(nn.Flatten(), nn.Linear(6 * 4, 3)),
    )


IMAGE = (2, 3, 10, 10)
NETWORKS = {  # the network, the shape of its input, and the layers that lose units
    "LeNet-5": (lenet_5, (2, 1, 28, 28), {"0", "2", "5"}),
    "VGG": (vgg, IMAGE, {"0.0", "2.0", "5.0", "10"}),
    "ResNet": (
        ResNet,
        IMAGE,
        {
            *("stem.0", "layers.0.first.0", "layers.0.second.0", "layers.1.first.0", "layers.1.second.0"),
            *("layers.1.downsample.0", "layers.2.first.0", "layers.2.second.0"),
        },
    ),
    "separable": (separable, IMAGE, {"0", "5"}),
    "cat": (Cat, IMAGE, {"left", "right", "joined"}),
    "grouped": (grouped, IMAGE, {"0", "2", "4"}),
    "sequence": (sequence, (2, 4, 14), {"0", "4"}),
    "twice": (Twice, (4, 6), {"one", "shared"}),
    "attention": (Attention, (2, 5, 16), {"fc1"}),
    "text": (Text, (2, 7), {"embedding", "encoder.layers.0.linear1", "encoder.layers.1.linear1"}),
}


def network(name, seed=1):
    """Give a network whose every parameter and buffer is random, in eval mode, and inputs."""
    make, shape, _ = NETWORKS[name]
    torch.manual_seed(seed)
    model = make().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model, torch.randint(0, 30, shape) if name == "text" else torch.randn(shape)
