"""Fingerprints of maps, and reading only the maps that are expected."""

from __future__ import annotations

import numpy as np
import pytest

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.ensemble import Ensemble, Source, find_ensemble
from chimerax.siren.core.maps.fingerprint import copies_note, fingerprint
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import write_map
from molecules import molecule


@pytest.mark.parametrize("box", [20, 64, 75])
def test_a_map_that_was_exchanged_scaled_shifted_mirrored_or_masked_has_another_fingerprint(box):
    one = molecule(1, box)[0]
    flat = np.where(molecule(1, box)[1], one, 0)  # without noise outside the molecule
    for array in (one, flat):
        others = {
            "exchanged": molecule(2, box)[0],
            "scaled": 3 * array,
            **{f"shifted along {axis}": np.roll(array, 5, axis) for axis in range(3)},
            "shifted by one": np.roll(array, 1, 2),
            "mirrored": array[::-1],
            "turned": array.transpose(1, 0, 2),
            "masked": np.where(np.arange(box) < box / 2, array, 0),
        }
        found = {name: fingerprint(other) for name, other in others.items()}
        assert fingerprint(array) not in found.values(), found


def test_the_same_values_have_the_same_fingerprint_whatever_holds_them():
    array = molecule(1, 24)[0]
    same = [array.copy(), np.asfortranarray(array), array.astype(">f4"), array.astype(np.float64)]
    assert {fingerprint(a) for a in same} == {fingerprint(array)}
    assert fingerprint(array).isalpha() and len(fingerprint(array)) == 12


def test_every_plane_of_a_box_is_looked_at():
    for shape in ((64, 64, 64), (75, 80, 90), (128, 128, 128)):
        zeros = np.zeros(shape, np.float32)
        for axis in range(3):
            for plane in (1, shape[axis] // 2, shape[axis] - 1):
                other = zeros.copy()
                other[(slice(None),) * axis + (plane,)] = 1
                assert fingerprint(other) != fingerprint(zeros), (shape, axis, plane)


def test_a_map_that_is_not_the_expected_one_is_refused_when_it_is_read_and_not_before(tmp_path):
    for n in (1, 2, 3):
        write_map(tmp_path / f"vol_{n}.mrc", molecule(n, 16)[0], Grid((16,) * 3, (4.0,) * 3), "")
    known = find_ensemble([tmp_path])
    assert dict(known.read()).keys() == known.fingerprints.keys()
    write_map(tmp_path / "vol_2.mrc", 3 * molecule(2, 16)[0], Grid((16,) * 3, (4.0,) * 3), "")
    again = find_ensemble([tmp_path]).expecting(known.fingerprints, "{name} in {braces} changed.")
    again.array(again.sources[0])
    with pytest.raises(SirenError, match=r"^vol_2\.mrc in \{braces\} changed\.$"):
        again.array(again.sources[1])
    assert dict(again.select(exclude=["vol_2"]).read()).keys() == {"vol_1.mrc", "vol_3.mrc"}


def test_checking_maps_reads_none_of_them_twice():
    reads = []

    def reader(n):
        def read():
            reads.append(n)
            return molecule(n, 16)[0]

        return read

    grid = Grid((16,) * 3, (4.0,) * 3)
    sources = tuple(Source(f"{n}.mrc", None, reader(n), grid) for n in range(4))
    ensemble = Ensemble(sources, grid, tuple(s.name for s in sources))
    expected = {s.name: fingerprint(molecule(n, 16)[0]) for n, s in enumerate(sources)}
    list(ensemble.expecting(expected, "{name}").read())
    assert reads == [0, 1, 2, 3]


def test_maps_given_one_by_one_are_numbered_as_in_their_folder(tmp_path):
    for n in (1, 2, 10):
        write_map(tmp_path / f"vol_{n}.mrc", molecule(n, 16)[0], Grid((16,) * 3, (4.0,) * 3), "")
    one = find_ensemble([tmp_path / "vol_10.mrc"], minimum=1)
    assert one.vol_ids == {"vol_10.mrc": 0}
    assert one.folder_vol_ids["vol_10.mrc"] == 2


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ("abcdef", ""),
        ("abcabd", "2 of the 6 volumes are copies of others, v3 of v0: "),
        ("abcdea", "1 of the 6 volumes is a copy of another, v5 of v0: "),
        ("aaaaaa", ""),  # of which the result says more
    ],
)
def test_copies_among_the_volumes_are_counted(codes, said):
    notes = copies_note([(f"v{n}", code) for n, code in enumerate(codes)])
    assert [note[: len(said)] for note in notes] == ([said] if said else [])
    assert all('"exclude"' in note for note in notes)
