"""Ways of others to a smaller network without training, beside which ours stand.

Each is made from its paper's definition, on the same groups of units and with the same share of
each layer as a pruning at the scope ``"layerwise"``, and gives a network like `prune`'s. `kmeans`
folds clusters of units into their means, `nearest` merges each dropped unit into one kept one,
`transport` fuses all units into the kept ones by optimal transport, `ridge` rebuilds what was read
by Gram matrices, `renewed` takes batch-norm statistics anew. This package uses `network`,
`channels`, `calibration` and `pruning`.
"""

from .kmeans import folding
from .nearest import neuron_merging
from .renewed import renewed_statistics
from .ridge import gram
from .transport import intra_fusion

__all__ = ["folding", "gram", "intra_fusion", "neuron_merging", "renewed_statistics"]
