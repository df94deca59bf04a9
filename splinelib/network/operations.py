"""Which torch functions are affine, which only look at a tensor, and what is said of all others."""

import re
from collections.abc import Collection

from torch import Tensor

from .activations import SMOOTH, argument

# Affine in their input alone: weights that depend on the input make products of it.
_LAYERS = {
    *("conv1d", "conv2d", "conv3d", "linear", "batch_norm"),
    *("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
}
_AFFINE = _LAYERS | {
    *("add", "radd", "sub", "rsub", "subtract", "neg", "negative", "positive"),
    *("sum", "mean", "cumsum", "diff"),
    *("cat", "concat", "concatenate", "stack", "hstack", "vstack", "chunk", "split", "unbind"),
    *("avg_pool1d", "avg_pool2d", "avg_pool3d", "tensor_split", "narrow", "select"),
    *("split_with_sizes", "unsafe_chunk", "unsafe_split", "hsplit", "vsplit", "dsplit"),
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
    *("flatten", "view", "reshape", "permute", "transpose", "swapaxes", "movedim", "unflatten"),
    *("swapdims", "moveaxis", "broadcast_to", "fliplr", "diagonal", "tile", "column_stack"),
    *("squeeze", "unsqueeze", "contiguous", "clone", "expand", "expand_as", "view_as", "flip"),
    *("repeat", "roll", "pad", "pixel_shuffle", "pixel_unshuffle", "unfold", "fold", "t"),
    *("channel_shuffle", "getitem", "to", "float", "double", "type_as", "detach", "copy"),
    *("native_channel_shuffle", "tril", "triu", "reshape_as", "as_tensor", "asarray"),
    *("requires_grad", "index_select", "upsample", "interpolate", "type", "cpu", "cuda"),
    *("half", "bfloat16", "nan_to_num", "alias"),
}
# Affine as long as only one operand depends on the input.
PRODUCTS = {
    *("mul", "rmul", "multiply", "matmul", "rmatmul", "mm", "bmm", "addmm", "einsum", "dot"),
    "baddbmm",
}
QUOTIENTS = {"div", "truediv", "divide", "true_divide"}
_DROPOUTS = {
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"),
    "feature_alpha_dropout",
}
# Affine in the input as long as masks and indices do not depend on it.
_PLACED = {"gather": 2, "take_along_dim": 1, "where": 0, "masked_fill": 1}

# They say nothing of the numbers in a tensor; nor does any function named is_..., but this one.
_QUERIES = {
    *("size", "dim", "numel", "stride", "ndimension", "nelement", "len", "element_size", "type"),
    *("get_device", "storage_offset", "result_type", "can_cast", "hash", "repr", "str", "format"),
    *("promote_types", "dlpack_device", "register_hook", "retain_grad", "dir"),
    *("dense_dim", "sparse_dim", "has_names", "requires_grad", "get", "broadcast_shapes"),
    *("names", "dim_order", "assert_async"),
    *("record_stream", "set", "backward"),
}
# Their values do not depend on those of the tensor that they are called on; that of a finite
# tensor is neither NaN nor infinite.
_CONSTANT = {
    *("zeros_like", "ones_like", "empty_like", "full_like", "new_zeros", "new_ones", "new_empty"),
    *("new_full", "new_tensor", "isnan", "isinf", "isfinite", "isreal", "isposinf", "isneginf"),
    *("new_empty_strided", "new"),
}
# Of the second operand they take the shape or the type alone.
LIKE = {"type_as", "expand_as", "view_as", "reshape_as", "to"}
# Properties that are tensors, of those numbers.
PROPERTIES = {"T", "mT", "H", "mH", "data", "real"}
# What a mask, an index or a sign may go through and stay one.
CARRIED = {
    *("float", "double", "half", "bfloat16", "to", "type", "type_as", "detach", "clone", "view"),
    *("contiguous", "reshape", "flatten", "unsqueeze", "squeeze", "expand", "expand_as", "getitem"),
    *("permute", "transpose", "cpu", "cuda", "unflatten", "view_as", "get", "add", "radd", "sub"),
    *("rsub", "subtract", "neg", "mul", "rmul", "multiply", "cat", "concat", "stack", "split"),
    *("chunk", "unbind", "select", "narrow", "sign", "sgn", "heaviside"),
}
# What they give is another one in each run.
RANDOM = {
    *("rand", "randn", "randint", "randperm", "normal", "uniform", "bernoulli", "multinomial"),
    *("exponential", "random", "poisson", "cauchy", "geometric", "log_normal"),
}
STEPS = {"sign", "sgn", "heaviside"}

_IGNORE = "Pass smooth='ignore' to leave such operations out of the code."
_SIGN = (
    "Pass smooth='sign' to read smooth activations as a cut where their input changes "
    "sign, or smooth='ignore' to leave such operations out of the code."
)

_FREEZE = "Pass smooth='freeze' to hold what it multiplies by where the input puts it. "
_ADVICE = re.compile(r" Pass smooth='(\w+)'[^.]*\.")
# Operations of which `frozen` knows what to hold.
HELD = {
    *("softmax", "scaled_dot_product_attention", "multi_head_attention_forward", "layer_norm"),
    *("gelu", "silu"),
}


def where(module: str) -> str:
    """How messages call the place of a call."""
    return f"module {module!r}" if module else "the model's own forward"


def property_of(func) -> str:
    """The property that a call reads or sets, ``"data"``; empty for other functions."""
    if getattr(func, "__name__", "") not in {"__get__", "__set__"}:
        return ""
    return getattr(getattr(func, "__self__", None), "__name__", "")


def is_query(name: str) -> bool:
    """Whether a function that returns no tensor says nothing of the numbers."""
    return name in _QUERIES or (name.startswith("is_") and name != "is_nonzero")


def is_constant(name: str, args: tuple, kwargs: dict, depends) -> bool:
    """Whether what a function gives does not depend on the numbers of the tensors it is given."""
    if name in _CONSTANT:
        return not depends((args[1:], kwargs))
    return name in LIKE and bool(args) and isinstance(args[0], Tensor) and not depends(args[0])


def left_torch(name: str, module: str) -> str:
    """What is said of a call that makes something else than a tensor of the input's numbers."""
    what = f"{name!r}" if name != "bool" else "a branch on a value (its path depends on the input)"
    return (
        f"{where(module)}: {what} takes numbers that depend on the input out of torch, so what "
        "is computed from them cannot be followed and may not be piecewise affine. Write it "
        f"with torch functions of the tensor (torch.where, F.relu, ...). {_IGNORE}"
    )


def discrete_use(name: str, module: str) -> str:
    """What is said of a mask, an index or a sign that enters an operation on numbers."""
    return (
        f"{where(module)}: {name!r} uses a mask, an index or a sign that was computed from the "
        "input, which bends or jumps where no code sees it. Write an activation as F.relu, "
        "torch.clamp, torch.where(h > 0, h, 0.1 * h), torch.maximum, and a largest value as "
        f"h.amax(1). {_IGNORE}"
    )


def random(name: str, module: str) -> str:
    """What is said of a call whose result is another one in each run."""
    return (
        f"{where(module)}: {name!r} is random here, in evaluation mode too, so the network is not "
        f"a function of its input. Pass training=self.training to it, or ask for it. {_IGNORE}"
    )


def unseen(module: str) -> str:
    """What is said of a tensor that was computed from the input where nothing was seen."""
    return (
        f"{where(module)}: a tensor was computed from the input where its operations cannot be "
        "seen (TorchScript, torch.vmap, a compiled or quantised function, a buffer that was "
        f"written to through a view or out=). Write it in plain torch functions. {_IGNORE}"
    )


def overwritten(module: str) -> str:
    """What is said of a tensor whose memory was changed through another tensor."""
    return (
        f"{where(module)}: a tensor is read after an operation in place changed its memory "
        "through another view of it, in a way that cannot be followed. Take the operation out of "
        f"place (F.relu(h) for h.relu_(), torch.cat of the parts). {_IGNORE}"
    )


def why_not_affine(name: str, module: str, args, kwargs, inputs, depends) -> str:
    """Why a call is not affine in the input, with a remedy; empty where it is.

    Parameters
    ----------
    name, module : str
        The function and the module that called it.
    args, kwargs
        Of the call.
    inputs : tuple of int
        The values among them.
    depends : callable
        Whether an argument is a tensor that depends on the input.
    """
    if name == "batch_norm" and argument(args, kwargs, 1, "running_mean") is None:
        return f"{where(module)}: batch norm without running statistics is not piecewise affine"
    if name in _DROPOUTS and _draws(name, args, kwargs):
        return random(name, module)
    if name in _LAYERS and depends((args[1:], {k: v for k, v in kwargs.items() if k != "input"})):
        return not_affine(f"{name!r} with weights that depend on the input", module)
    if name in _AFFINE or name in _DROPOUTS:
        return ""
    if name in PRODUCTS and len(inputs) == 1:
        return ""
    rounds = bool(kwargs.get("rounding_mode"))
    divisor = argument(args, kwargs, 1, "other")
    if name in QUOTIENTS and len(inputs) == 1 and not rounds and not depends(divisor):
        return ""
    if name in _PLACED:
        names = {"gather": "index", "take_along_dim": "indices", "where": "condition"}
        position = _PLACED[name]
        place = argument(args, kwargs, position, names.get(name, "mask"))
        if not depends(place) and len(args) + len(kwargs) > 1:
            return ""
    if name == "repeat_interleave" and _rows_kept(args, kwargs, depends):
        return ""
    why = "a product of two values of the network" if name in PRODUCTS else f"{name!r}"
    remedy = (_FREEZE if name in HELD else "") + (_SIGN if name in SMOOTH else _IGNORE)
    return not_affine(why, module, remedy)


def advice_for(problem: str, ways: Collection[str]) -> str:
    """A message without the values of ``smooth=`` that a caller does not take.

    Examples
    --------
    >>> advice_for("'exp' is not affine. Pass smooth='ignore' to leave it out.", ())
    "'exp' is not affine."
    """
    return _ADVICE.sub(lambda found: found[0] if found[1] in ways else "", problem)


def not_affine(what: str, module: str, remedy: str = _IGNORE) -> str:
    """What is said of an operation that is not piecewise affine, or not known to be."""
    return f"{where(module)}: {what} is not a piecewise affine operation. {remedy}"


def why_no_assignment(module: str, args: tuple, depends) -> str:
    """Why ``x[index] = value`` is not affine in x and value; empty where it is."""
    index = args[1] if isinstance(args[1], tuple) else (args[1],)
    plain = all(
        item is None or item is Ellipsis or (isinstance(item, slice | int) and item is not True)
        for item in index
    )
    if plain and (index[0] is Ellipsis or index[0] == slice(None)):
        return ""
    return not_affine(
        "an assignment to some of the inputs' rows, or by a mask or an index tensor,", module
    )


def _draws(name: str, args, kwargs) -> bool:
    """Whether a dropout drops: functions do so unless told otherwise, alpha dropouts do not."""
    training = kwargs.get("train", "alpha" not in name)
    share = argument(args, kwargs, 1, "p", 0.5)
    return bool(argument(args, kwargs, 2, "training", training)) and share != 0


def _rows_kept(args, kwargs, depends) -> bool:
    """Whether a repetition goes along another dimension than that of the inputs."""
    times, dim = argument(args, kwargs, 1, "repeats"), argument(args, kwargs, 2, "dim")
    return dim is not None and dim % args[0].dim() != 0 and not depends(times)
