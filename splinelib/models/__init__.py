"""The networks of the paper, for small images, at any width, transformers and perceptrons.

Each is a plain `torch.nn.Module` of standard layers. The convolutional ones follow the code
family that the paper builds on (network slimming, then Early-Bird Tickets): convolutions without
bias before batch norm, global average pooling, and one linear layer at the end. Every function
takes a `seed` and leaves PyTorch's global generator as it was. One file for each family,
`building` for a network by its name, `pitch` for one that others trained, `spread` for a start that
puts lines through the data, and `routed` for networks that do not do the same for every input.
This package uses `data`, for the shape of images and the number of classes. Perceptrons go to the
playground of the book, and come back, as the text of `interchange`.
"""

from .building import build
from .initialising import BATCH_NORM_SCALE
from .interchange import from_json, to_json
from .perceptron import mlp
from .pitch import PitchEstimator, hertz, pitch_estimator
from .preact_resnet import PreActivationBottleneck, PreResNet, preresnet
from .resnet import BasicBlock, Bottleneck, ResNet, resnet18, resnet50
from .routed import EarlyExit, Routed
from .spread import spread_lines
from .vgg import VGG, vgg16
from .vit import Attention, TransformerBlock, VisionTransformer, vision_transformer

__all__ = [
    "BATCH_NORM_SCALE",
    "VGG",
    "Attention",
    "BasicBlock",
    "Bottleneck",
    "EarlyExit",
    "PitchEstimator",
    "PreActivationBottleneck",
    "PreResNet",
    "ResNet",
    "Routed",
    "TransformerBlock",
    "VisionTransformer",
    "build",
    "from_json",
    "hertz",
    "mlp",
    "pitch_estimator",
    "preresnet",
    "resnet18",
    "resnet50",
    "spread_lines",
    "to_json",
    "vgg16",
    "vision_transformer",
]
