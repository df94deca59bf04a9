"""Images a second: `splinelib.training.train` against a plain loop over a DataLoader.

    python -m benchmarks.training --help

Both train the same VGG-16 on the real CIFAR-10 with the same crops and flips, batches, SGD and
schedule. The plain loop is the one of most tutorials: images as PIL pictures, torchvision's
transforms one picture at a time, `torch.optim.SGD`, weights in PyTorch's usual layout, the loss
read at every step. Both run in turns in the same process; the medians count. That nothing is
lost is checked twice: on the same batches both give the same losses, and after the same number of
epochs (with crops and flips drawn differently) about the same accuracy.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import splinelib as sl
from splinelib import training

BATCH = 128
RATE, MOMENTUM, DECAY = 0.1, 0.9, 1e-4


class Pictures(Dataset):
    """Images as pictures, each transformed when it is asked for."""

    def __init__(self, data: sl.data.Dataset, augment: bool):
        from torchvision import transforms

        steps = [transforms.ToPILImage()]
        if augment:
            steps += [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
        steps += [transforms.ToTensor(), transforms.Normalize(data.mean, data.std)]
        self.images, self.labels = data.train_images, data.train_labels.tolist()
        self.transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int):
        return self.transform(self.images[index]), self.labels[index]


def plain_epochs(
    model: nn.Module,
    pictures: Pictures,
    epochs: int,
    device: torch.device,
    workers: int = 0,
    order: Sequence[Sequence[int]] | None = None,
) -> tuple[nn.Module, list[float], list[float]]:
    """Train a copy; the seconds and the mean loss of each epoch. `order` fixes the batches."""
    model = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=MOMENTUM, weight_decay=DECAY)
    milestones = training.Recipe(epochs).milestones
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones)
    seconds, losses = [], []
    for epoch in range(epochs):
        loader = DataLoader(
            pictures,
            BATCH,
            shuffle=order is None,
            sampler=None if order is None else order[epoch],
            num_workers=workers,
            pin_memory=device.type == "cuda",
        )
        began = time.perf_counter()
        model.train()
        total = 0.0
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
        schedule.step()
        seconds.append(time.perf_counter() - began)
        losses.append(total / len(pictures))
    return model.eval(), seconds, losses


def our_epochs(model: nn.Module, data, epochs: int) -> tuple[nn.Module, list[float], list[float]]:
    """The same by `train`."""
    trained = training.train(
        *(model, data),
        **{"epochs": epochs, "lr": RATE, "batch_size": BATCH, "momentum": MOMENTUM},
        weight_decay=DECAY,
        progress=False,
    )
    history = trained.history
    return trained.model, [row["seconds"] for row in history], [row["loss"] for row in history]


def order_of(count: int, epochs: int, device: torch.device) -> list[list[int]]:
    """The order in which `train` takes `count` images, epoch by epoch."""
    orders = []
    for epoch in range(epochs):
        generator = torch.Generator(device).manual_seed(training.Recipe(epochs).epoch_seed(epoch))
        orders.append(torch.randperm(count, generator=generator, device=device).tolist())
    return orders


def same_batches(model: nn.Module, data: sl.data.Dataset, epochs: int, device: torch.device):
    """Losses of each epoch of both loops on the same batches, nothing cropped or mirrored."""
    pair = data.to_float(data.train_images).to(device), data.train_labels.to(device)
    order = order_of(len(data.train_images), epochs, device)
    _, _, plain = plain_epochs(model, Pictures(data, False), epochs, device, order=order)
    _, _, ours = our_epochs(model, pair, epochs)
    return plain, ours


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=float, default=0.25, help="of VGG-16 (default: 0.25)")
    parser.add_argument("--images", type=int, default=2048, help="per timed epoch (default: 2048)")
    parser.add_argument("--repeats", type=int, default=5, help="timed epochs each (default: 5)")
    parser.add_argument("--epochs", type=int, default=6, help="until the accuracies are compared")
    parser.add_argument("--train-size", type=int, default=4096, help="images of those epochs")
    parser.add_argument("--seeds", type=int, default=2, help="of those epochs (default: 2)")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default: 1)")
    parser.add_argument("--workers", type=int, default=0, help="of the DataLoader (default: 0)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cifar = sl.data.load("cifar10")
    where = (
        torch.cuda.get_device_name() if device.type == "cuda" else f"{options.threads} thread(s)"
    )
    print(f"VGG-16 at width {options.width:g}, CIFAR-10, batches of {BATCH}, {where}")

    model = sl.models.vgg16(width=options.width).to(device)
    few = cifar.subset(train=2 * BATCH)
    plain, ours = same_batches(model, few, 2, device)
    apart = max(abs(a - b) / a for a, b in zip(plain, ours, strict=True))
    print(f"same batches: losses differ by {apart:.1e} of their size at most")

    timed = cifar.subset(train=options.images)
    pictures = Pictures(timed, True)
    near = timed.near(device)
    rates: dict[str, list[float]] = {"DataLoader": [], "splinelib": []}
    for repeat in range(options.repeats + 1):
        _, (slow,), _ = plain_epochs(model, pictures, 1, device, options.workers)
        _, (fast,), _ = our_epochs(model, near, 1)
        if repeat:  # the first is for warming up
            rates["DataLoader"].append(len(pictures) / slow)
            rates["splinelib"].append(len(pictures) / fast)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        spread = f"{min(values):,.0f} to {max(values):,.0f}"
        print(f"{name:12s} {medians[name]:10,.0f} images/s   ({spread})")
    pairs = zip(rates["splinelib"], rates["DataLoader"], strict=True)
    ratio = statistics.median(ours / plain for ours, plain in pairs)
    print(f"median of the ratios: {ratio:.2f} times as fast")

    subset = cifar.subset(train=options.train_size, test=2000)
    test = subset.test_images, subset.test_labels
    for name in rates:
        accuracies = []
        for seed in range(options.seeds):
            start = sl.models.vgg16(width=options.width, seed=seed).to(device)
            torch.manual_seed(seed)
            if name == "DataLoader":
                made, _, _ = plain_epochs(
                    *(start, Pictures(subset, True), options.epochs, device, options.workers)
                )
            else:
                made, _, _ = our_epochs(start, subset.near(device), options.epochs)
            accuracies.append(training.evaluate(made, *test, transform=subset.to_float))
        shown = ", ".join(f"{accuracy:.1%}" for accuracy in accuracies)
        print(f"{name:12s} after {options.epochs} epochs of {options.train_size} images: {shown}")


if __name__ == "__main__":
    main()
