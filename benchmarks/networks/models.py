"""The two networks that pruning is compared on, of Y. LeCun et al., "Gradient-based learning applied to document
recognition", Proceedings of the IEEE 86 (1998), in the sizes of Caffe's examples and of Han et al. (NeurIPS 2015).
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def lenet_300_100() -> nn.Sequential:
    """Give LeNet-300-100: 784, 300, 100 and 10 units; 266,200 weights and 410 biases."""
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc1=nn.Linear(784, 300),
            relu1=nn.ReLU(),
            fc2=nn.Linear(300, 100),
            relu2=nn.ReLU(),
            fc3=nn.Linear(100, 10),
        )
    )


def lenet_5(conv1: int = 20, conv2: int = 50, fc1: int = 500) -> nn.Sequential:
    """Give LeNet-5 as Caffe has it, without ReLU after the convolutions; 430,500 weights and 580 biases.

    Layers may have fewer units than those.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, conv1, 5),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(conv1, conv2, 5),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(16 * conv2, fc1),
            relu1=nn.ReLU(),
            fc2=nn.Linear(fc1, 10),
        )
    )


NETWORKS = {"LeNet-300-100": lenet_300_100, "LeNet-5": lenet_5}
