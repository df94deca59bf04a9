"""Codes without the bits that never change."""

import numpy as np
import pytest

from splinelib.geometry.cell_codes import CellCodes, LayerCode
from splinelib.geometry.signs import pack_bits


@pytest.mark.parametrize("varying", [[], [0, 3, 64, 199], range(200)])
def test_all_bits_are_written_out(varying):
    rng = np.random.default_rng(0)
    bits, constant = np.array(varying, int), rng.random(200) < 0.5
    whole = np.tile(constant, (9, 1))
    whole[:, bits] = rng.random((9, len(bits))) < 0.5
    code = LayerCode(pack_bits(whole[:, bits]), bits, constant)
    assert (code.varying() == whole[:, bits]).all()
    assert (code.packed() == pack_bits(whole)).all()
    codes = CellCodes({"a": code})
    assert list(codes) == ["a"] and len(codes) == 1
    assert (codes["a"] == pack_bits(whole)).all()
