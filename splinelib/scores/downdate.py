"""The matrices of a greedy least-squares removal, brought up to date unit by unit."""

import torch
from torch import Tensor

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
        self.width, self.energy = len(gram) // units, energy
        # In proportion to each column's own variance, so that the scale of a unit does not
        # matter; a column that is always 0 gets next to nothing, and costs next to nothing.
        variance = gram.diagonal()
        floor = 1e-12 * variance.max().clamp(min=1)
        gram = gram + torch.diag((ridge * variance).clamp(min=floor))
        self.inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        self.outgoing = outgoing.clone()
        self.own_inverse = self._blocks(self.inverse).clone()  # as the steps have made them
        self.own_outgoing = self._blocks(self.outgoing).clone()
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
        columns = len(self.inverse)
        self.waiting, self.there = 0, self.inverse.new_ones(columns)
        room = max(1, _WAITING // self.width) * self.width, columns
        self.steps, self.rows, self.halves = (self.inverse.new_empty(room) for _ in range(3))

    def residuals(self) -> Tensor:
        """Squared error of removing each unit that is left, as a share of the energy, (U,).

        On the CPU; what it says of units that have gone has no meaning.
        """
        if self.width == 1:
            error = self.own_outgoing.flatten() / self.own_inverse.flatten()
        else:
            solved = torch.linalg.solve(self.own_inverse, self.own_outgoing)
            error = solved.diagonal(dim1=1, dim2=2).sum(1)
        error = (error / self.energy if self.energy > 0 else error * 0).cpu()
        if len(error) == len(self.place):
            return error
        return error.new_zeros(len(self.place)).index_copy_(0, self.units, error)

    def remove(self, unit: int) -> None:
        """Take a unit out: its columns become unreachable, the others' weights take over."""
        m, at, done = self.width, self.place[unit], self.waiting
        cut = slice(at * m, (at + 1) * m)
        steps, rows, halves = (each[:done] for each in (self.steps, self.rows, self.halves))
        inverse = (self.inverse[cut] - steps[:, cut].T @ rows) * self.there
        outgoing = self.outgoing[cut] - steps[:, cut].T @ halves - halves[:, cut].T @ steps
        outgoing *= self.there
        own = inverse[:, cut]
        step = inverse / own if m == 1 else torch.linalg.solve(own, inverse)
        # W <- W - W_j step, so that W^T W loses step^T K + K^T step.
        half = outgoing - outgoing[:, cut] @ step / 2
        both = self._products(step, half)
        self.own_inverse -= self._products(step, inverse)
        self.own_outgoing -= both + both.mT
        self.own_inverse[at], self.own_outgoing[at] = torch.eye(m).to(own), 0
        self.there[cut] = 0
        for waiting, new in ((self.steps, step), (self.rows, inverse), (self.halves, half)):
            waiting[done : done + m] = new
        self.waiting += m
        if self.waiting == len(self.steps):
            self._make_steps()

    def _products(self, one: Tensor, other: Tensor) -> Tensor:
        """The diagonal blocks of ``one.T @ other``, (U, m, m), both of shape (m, U m)."""
        if self.width == 1:
            return (one * other).view(-1, 1, 1)
        one, other = (each.unflatten(1, (-1, self.width)).transpose(0, 1) for each in (one, other))
        return one.mT @ other

    def _make_steps(self) -> None:
        """Make the steps that wait, and leave out the units that have gone if they are many."""
        self.inverse.addmm_(self.steps.T, self.rows, alpha=-1)
        left, right = (self.steps, self.halves), (self.halves, self.steps)
        self.outgoing.addmm_(torch.cat(left).T, torch.cat(right), alpha=-1)
        self.waiting = 0
        columns, stay = (
            each.nonzero().flatten() for each in (self.there, self.there[:: self.width])
        )
        if 8 * len(columns) > 7 * len(self.there):
            return
        self.inverse, self.outgoing = (
            each[columns][:, columns] for each in (self.inverse, self.outgoing)
        )
        self.own_inverse, self.own_outgoing = self.own_inverse[stay], self.own_outgoing[stay]
        self.units = self.units[stay.cpu()]
        for at, unit in enumerate(self.units.tolist()):
            self.place[unit] = at
        self._wait()
