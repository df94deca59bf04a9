"""Region codes that move less and less, as those of a network do while it is trained."""

import torch
from networks import random_network

import splinelib as sl


def walk(epochs: int = 14) -> list:
    """Codes of as many epochs, each a step from the one before that is a fifth shorter."""
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(40, 2, generator=generator)
    model = random_network([12, 8], 3)
    found = []
    for epoch in range(epochs):
        with torch.no_grad():
            for parameter in model.parameters():
                step = torch.randn(parameter.shape, generator=generator)
                parameter += 0.7 * 0.8**epoch * step
        found.append(sl.region_codes(model, probe))
    return found
