"""Which sentences of the chapters would fail on another machine?

    .venv/bin/python -m tests.shaken 5 [book/PART/CHAPTER.ipynb ...]

Processors round differently, and training makes much of little. So every chapter is run again and
again, at the scale quick, with all weights that training starts from off by a millionth, and every
claim that does not hold is counted. A sentence that fails once is one that some reader's machine
will contradict: mend it.
"""

import contextlib
import io
import os
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from unittest import mock

import nbformat
import numpy as np
import torch

from splinelib.exhibits import claims
from splinelib.training import loop
from splinelib.training.ensemble import Ensemble
from tools.chapters import notebooks

SHAKE = 1e-6


class Shaking:
    """Shakes what training starts from, and counts claims instead of failing."""

    def __init__(self):
        self.made, self.failed = Counter(), Counter()
        self.generator = torch.Generator()

    def shaken(self, value: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(value.shape, generator=self.generator, dtype=torch.float64)
        return value * (1 + SHAKE * noise).to(value)

    def claim(self, sentence: str, holds, scale: str = "quick") -> None:
        self.made[sentence] += 1
        self.failed[sentence] += not np.asarray(holds, dtype=bool).all()

    @contextlib.contextmanager
    def at_work(self):
        laid_out, trained = loop.laid_out, Ensemble.train

        def laid_out_shaken(model, batches):
            model, batches = laid_out(model, batches)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.copy_(self.shaken(parameter))
            return model, batches

        def trained_shaken(ensemble, *args, **settings):
            parts = ensemble.weights, ensemble.biases
            start = Ensemble(*([self.shaken(value) for value in part] for part in parts))
            return trained(start, *args, **settings)

        with (
            mock.patch.object(loop, "laid_out", laid_out_shaken),
            mock.patch.object(Ensemble, "train", trained_shaken),
            mock.patch.object(claims, "claim", self.claim),
        ):
            yield


def run(chapter: Path) -> None:
    """The code of a chapter, in this process, at its own folder."""
    cells = [c.source for c in nbformat.read(chapter, 4).cells if c.cell_type == "code"]
    names = {"__name__": "__main__", "display": lambda *shown, **how: None}
    with contextlib.chdir(chapter.parent), contextlib.redirect_stdout(io.StringIO()):
        for number, cell in enumerate(cells):
            exec(compile(cell, f"{chapter.name}, code cell {number}", "exec"), names)


def main(times: int, chapters: list[Path]) -> int:
    """How many claims failed at least once."""
    failures = 0
    for chapter in chapters:
        shaking, start = Shaking(), time.process_time()
        with shaking.at_work(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for seed in range(times):
                shaking.generator.manual_seed(seed)
                try:
                    run(chapter)
                except Exception as error:  # the page could not be built there
                    shaking.claim(f"the chapter runs ({str(error)[:200]})", False)
        found = {sentence: count for sentence, count in shaking.failed.items() if count}
        seconds = (time.process_time() - start) / times
        print(f"{chapter.name}: {len(shaking.made)} claims, {seconds:.0f} s", flush=True)
        for sentence, count in found.items():
            print(f"  {count} of {shaking.made[sentence]}: {sentence}", flush=True)
        failures += len(found)
    return failures


if __name__ == "__main__":
    os.environ["MPLBACKEND"] = "agg"
    torch.set_num_threads(1)
    wanted = [Path(name).resolve() for name in sys.argv[2:]]
    if missing := [f"{chapter}" for chapter in wanted if not chapter.is_file()]:
        sys.exit(f"There is no such chapter: {', '.join(missing)}")
    print(main(int(sys.argv[1]), wanted or notebooks()), "claims failed at least once")
