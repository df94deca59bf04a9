"""Whether labels are classes of the inputs that they come with."""

from numbers import Integral

from torch import Tensor


def check_labels(labels: Tensor, inputs: Tensor, least: int = 1) -> None:
    """Refuse labels that are not one whole number for each of some inputs.

    Raises
    ------
    ValueError
        Naming their number, or their dtype and shape.
    """
    if len(inputs) != len(labels) or len(inputs) < least:
        raise ValueError(
            f"Give {least} or more inputs, with a label for each: got {len(inputs)} inputs and "
            f"{len(labels)} labels."
        )
    if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex():
        raise ValueError(
            f"labels are the class of each input, whole numbers of shape (N,); these are "
            f"{labels.dtype} of shape {tuple(labels.shape)}."
        )


def check_classes(labels: Tensor, outputs: Tensor) -> None:
    """Refuse labels for which a classifier has no output.

    Raises
    ------
    ValueError
        For outputs that are not of shape (N, C), or labels outside of 0 .. C - 1.
    """
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        what = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise ValueError(
            f"A classifier gives one tensor of shape (inputs, classes); this one gave {what}. "
            "Wrap it in a module that returns that tensor alone."
        )
    low, high = labels.min().item(), labels.max().item()
    if low < 0 or high >= outputs.shape[1]:
        raise ValueError(
            f"The network has {outputs.shape[1]} outputs, for the classes 0 .. "
            f"{outputs.shape[1] - 1}, and labels go from {low} to {high}."
        )


def check_batch_size(batch_size: int) -> None:
    """Refuse what is not a positive whole number."""
    if not isinstance(batch_size, Integral) or isinstance(batch_size, bool) or batch_size < 1:
        raise ValueError(f"batch_size must be a positive whole number, not {batch_size!r}.")
