"""The matrices of a greedy least-squares removal, brought up to date unit by unit."""

import torch
from torch import Tensor

from ..calibration.moments import with_ridge

# Columns of units that go whose steps are made at once.
_WAITING = 64


class Downdate:
    """Inverse Gram and outgoing weights of one reader while units are taken out.

    Parameters
    ----------
    gram, outgoing : Tensor, shape (U * m, U * m), float64
    energy : float
        As in `least_squares.Reader`.
    units : int
    ridge : float
        Added to the diagonal of the Gram matrix, as a share of each entry.

    Notes
    -----
    A unit that goes changes both by a step of low rank. To choose the next one their diagonal
    blocks are enough, and to take it out its own rows. So steps wait until they are many, and are
    then made at once, as one product of matrices. What has gone is left out of these each time that
    it is an eighth.
    """

    def __init__(self, gram: Tensor, outgoing: Tensor, energy: float, units: int, ridge: float):
        self.width = len(gram) // units
        gram = with_ridge(gram, ridge)
        self.inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        self.outgoing = outgoing / energy if energy > 0 else torch.zeros_like(outgoing)
        self.own_inverse = self._blocks(self.inverse).clone()  # as the steps have made them
        self.own_outgoing = self._blocks(self.outgoing).clone()
        self.one = torch.eye(self.width).to(gram)
        self.units = torch.arange(units)  # those that the matrices hold
        self.place = list(range(units))  # where they lie
        self._wait()

    def _blocks(self, matrix: Tensor) -> Tensor:
        """The diagonal (m, m) blocks, shape (U, m, m)."""
        units = len(matrix) // self.width
        grid = matrix.view(units, self.width, units, self.width)
        return grid.diagonal(dim1=0, dim2=2).permute(2, 0, 1)

    def _wait(self) -> None:
        """Room for steps: the matrices are their own minus ``steps.T @ rows``, and so on."""
        columns, self.waiting, self.gone = len(self.inverse), 0, []
        room = max(1, _WAITING // self.width) * self.width, columns
        self.steps, self.rows, self.halves = (self.inverse.new_empty(room) for _ in range(3))

    def residuals(self) -> Tensor:
        """Squared error of removing each unit that is left, as a share of the energy, (U,).

        On the CPU; what it says of units that have gone has no meaning.
        """
        if self.width == 1:
            error = self.own_outgoing.view(-1) / self.own_inverse.view(-1)
        else:
            solved = torch.linalg.solve(self.own_inverse, self.own_outgoing)
            error = solved.diagonal(dim1=1, dim2=2).sum(1)
        error = error.cpu()
        if len(error) == len(self.place):
            return error
        return error.new_zeros(len(self.place)).index_copy_(0, self.units, error)

    def remove(self, unit: int) -> None:
        """Take a unit out: its columns become unreachable, the others' weights take over."""
        m, at, done = self.width, self.place[unit], self.waiting
        cut, new = slice(at * m, (at + 1) * m), slice(done, done + m)
        steps, rows, halves = (each[:done] for each in (self.steps, self.rows, self.halves))
        left, right = steps[:, cut].T, halves[:, cut].T
        inverse = torch.addmm(self.inverse[cut], left, rows, alpha=-1, out=self.rows[new])
        outgoing = torch.addmm(self.outgoing[cut], left, halves, alpha=-1)
        outgoing.addmm_(right, steps, alpha=-1)
        own, step = inverse[:, cut], self.steps[new]
        step.copy_(inverse / own if m == 1 else torch.linalg.solve(own, inverse))
        # W <- W - W_j step, so that W^T W loses step^T K + K^T step.
        half = torch.addmm(outgoing, outgoing[:, cut], step, alpha=-0.5, out=self.halves[new])
        self._change_own(step, inverse, half)
        self.own_inverse[at], self.own_outgoing[at] = self.one, 0
        self.gone.append(at)
        self.waiting += m
        if self.waiting == len(self.steps):
            self._make_steps()

    def _change_own(self, step: Tensor, inverse: Tensor, half: Tensor) -> None:
        """Make a step in the diagonal blocks."""
        if self.width == 1:
            self.own_inverse.view(-1).addcmul_(step[0], inverse[0], value=-1)
            self.own_outgoing.view(-1).addcmul_(step[0], half[0], value=-2)
            return
        step, inverse, half = (
            each.unflatten(1, (-1, self.width)).transpose(0, 1) for each in (step, inverse, half)
        )
        both = step.mT @ half
        self.own_inverse -= step.mT @ inverse
        self.own_outgoing -= both + both.mT

    def _make_steps(self) -> None:
        """Make the steps that wait, and leave out the units that have gone if they are many."""
        self.inverse.addmm_(self.steps.T, self.rows, alpha=-1)
        left, right = (self.steps, self.halves), (self.halves, self.steps)
        self.outgoing.addmm_(torch.cat(left).T, torch.cat(right), alpha=-1)
        self.waiting = 0
        if 8 * len(self.gone) <= len(self.units):
            return
        stays = torch.ones(len(self.units), dtype=torch.bool)
        stays[self.gone] = False
        self.units = self.units[stays]
        stays = stays.to(self.inverse.device)
        columns = stays.repeat_interleave(self.width).nonzero().flatten()
        self.inverse, self.outgoing = (
            each[columns][:, columns] for each in (self.inverse, self.outgoing)
        )
        self.own_inverse, self.own_outgoing = self.own_inverse[stays], self.own_outgoing[stays]
        for at, unit in enumerate(self.units.tolist()):
            self.place[unit] = at
        self._wait()
