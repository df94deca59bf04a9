"""What a GPU's own meter says of the energy that it used, through NVIDIA's NVML.

NVML comes with the driver, so this needs no package. Where there is no GPU, no NVML, or a GPU
without a meter (before Volta), there is no figure: nothing is estimated.
"""

import ctypes
import functools

import torch

from .. import parallel

_shared = False  # whether the meter counts the work of other processes as well


def shared_by_others() -> None:
    """Say that other processes work on this one's GPU, whose meter counts theirs as well."""
    global _shared
    _shared = True


class Meter:
    """Energy from now on, of the GPU that a device names.

    Parameters
    ----------
    device : torch.device
        A CPU, and a GPU that cannot tell, give no reading.

    Examples
    --------
    >>> Meter(torch.device("cpu")).read()
    {}
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.start = millijoules(device)

    def read(self) -> dict[str, float]:
        """``{"joules": ...}`` since the meter was made, or nothing; waits for the device.

        With several processes, the sum over their GPUs, if all have a meter. Where others work on
        the GPU too (`shared_by_others`) nobody can tell whose energy it is, and the figure of the
        whole GPU has another name, ``shared_joules``.
        """
        if self.device.type != "cuda":
            return {}
        torch.cuda.synchronize(self.device)
        now = millijoules(self.device)
        known = self.start is not None and now is not None
        # Every process takes part, whether it knows its own figure or not.
        figures = torch.tensor(
            [(now - self.start) / 1000 if known else 0.0, float(known)],
            dtype=torch.float64,
            device=self.device,
        )
        joules, meters = parallel.sum_(figures).tolist()
        name = "shared_joules" if _shared else "joules"
        return {name: joules} if meters == parallel.processes() else {}


def millijoules(device: torch.device) -> int | None:
    """Counter of the energy that a GPU has used since its driver was loaded.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    int or None
        In millijoules; None where nothing counts.
    """
    if device.type != "cuda" or (nvml := _nvml()) is None:
        return None
    # PyTorch numbers the visible GPUs, NVML all of them: the name is what they agree on.
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    handle, value = ctypes.c_void_p(), ctypes.c_ulonglong()
    name = f"GPU-{uuid}".encode()
    if uuid is None or nvml.nvmlDeviceGetHandleByUUID(name, ctypes.byref(handle)):
        return None
    if nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(value)):
        return None
    return value.value


@functools.cache
def _nvml():
    """NVML, initialised, or None."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    return None if library.nvmlInit_v2() else library
