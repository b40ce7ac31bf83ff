"""Where volumes are in latent space: as the programs wrote it, and never guessed."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.particles.latent import volume_latent

DATA = Path(__file__).parent / "data"
KMEANS = DATA / "cryodrgn/analyze.9/kmeans6"


def series(first, count, form="vol_{:03d}.mrc"):
    return [form.format(n) for n in range(first, first + count)]


def unpickled(path):
    with path.open("rb") as file:
        return pickle.load(file)


@pytest.mark.parametrize(
    ("folder", "names", "text"),
    [
        (KMEANS, series(1, 6), "z_values.txt"),
        (DATA / "cryodrgn/analyze.9/pc1", series(1, 10), "z_values.txt"),
        (DATA / "tomodrgn/analyze.7/kmeans4", series(0, 4), "centers.txt"),
        (DATA / "recovar/analysis_4/kmeans", series(0, 5, "center{:03d}.mrc"), "centers.txt"),
    ],
)
def test_what_the_programs_wrote_is_found_and_each_volume_has_its_row(folder, names, text):
    found = volume_latent(names[::-1], folder, names)
    assert np.array_equal(found.values[::-1], np.loadtxt(folder / text, ndmin=2))
    assert found.names == tuple(names[::-1])
    assert f"{names[0]} = row 0" in found.notes[1] and str(folder) in found.notes[0]


def test_without_a_text_the_particles_at_the_centers_tell(tmp_path):
    shutil.copytree(DATA / "cryodrgn", tmp_path / "run")
    folder = tmp_path / "run/analyze.9/kmeans6"
    wanted = unpickled(DATA / "cryodrgn/z.9.pkl")[np.loadtxt(KMEANS / "centers_ind.txt", int)]
    for name in ("z_values.txt", "centers.txt"):
        (folder / name).unlink()
    found = volume_latent(series(1, 6), folder)
    assert np.array_equal(found.values, wanted.astype(float))
    assert [p.name for p in found.files] == ["centers_ind.txt", "z.9.pkl"]
    (folder / "centers_ind.txt").write_text("0\n1\n2\n3\n4\n120\n")
    with pytest.raises(SirenError, match=r"names particle 120, but z\.9\.pkl has 120"):
        volume_latent(series(1, 6), folder)


def test_without_a_text_recovars_clusters_tell(tmp_path):
    shutil.copytree(DATA / "recovar", tmp_path / "run")
    folder = tmp_path / "run/analysis_4/kmeans"
    for name in ("latent_coords.txt", "centers.txt"):
        (folder / name).unlink()
    found = volume_latent(series(0, 5, "center{:03d}.mrc"), folder)
    assert np.allclose(found.values, np.loadtxt(DATA / "recovar/analysis_4/kmeans/centers.txt"))
    assert found.files[0].name == "kmeans_result.pkl"


def test_a_part_of_the_volumes_has_the_rows_of_its_numbers():
    found = volume_latent(["vol_005.mrc", "vol_002.mrc"], KMEANS, series(1, 6))
    assert np.array_equal(found.values, np.loadtxt(KMEANS / "centers.txt")[[4, 1]])
    with pytest.raises(SirenError, match=r'Which volume is row 0 of z_values\.txt is open.*"first'):
        volume_latent(series(2, 3), KMEANS)
    zero = volume_latent(series(2, 3), KMEANS, first=0)
    assert np.array_equal(zero.values, np.loadtxt(KMEANS / "centers.txt")[[2, 3, 4]])


def test_a_table_gives_coordinates_by_name_and_their_words(tmp_path):
    table = tmp_path / "umap.csv"
    table.write_text("UMAP1,volume,UMAP2\n0.5,b.mrc,1\n-1.5,a.mrc,2e-1\n7,other.mrc,7\n")
    found = volume_latent(["a.mrc", "b.mrc", "c.mrc"], given=table)
    assert found.names == ("a.mrc", "b.mrc")
    plane = found.landscape()
    assert plane.points.tolist() == [[-1.5, 0.2], [0.5, 1.0]]
    assert plane.axes == ("UMAP1", "UMAP2")
    assert "c.mrc is not in umap.csv and left out." in found.notes


def test_one_and_two_coordinates_stay_and_more_are_principal_components_that_the_axes_name(
    tmp_path,
):
    names, z = series(0, 9), np.random.default_rng(3).normal(size=(9, 5)) * [1, 5, 2, 1, 1]
    for width in (1, 2, 5):
        path = tmp_path / f"{width}.txt"
        np.savetxt(path, z[:, :width])
        plane = volume_latent(names, given=path).landscape()
        if width == 1:
            assert plane.axes == ("latent 1", "volume")
            assert np.allclose(plane.points[:, 0], z[:, 0])
        elif width == 2:
            assert plane.axes == ("latent 1", "latent 2")
            assert np.allclose(plane.points, z[:, :2])
        else:
            centered = z - z.mean(axis=0)
            left, spread, _ = np.linalg.svd(centered, full_matrices=False)
            assert np.allclose(np.abs(plane.points), np.abs(left[:, :2] * spread[:2]))
            share = 100 * spread**2 / (spread**2).sum()
            assert plane.axes == tuple(
                f"component {k + 1} of the latent ({share[k]:.0f} %)" for k in (0, 1)
            )


def test_coordinates_of_particles_are_not_taken_for_those_of_volumes():
    with pytest.raises(SirenError, match=r"z\.9\.pkl has 120 rows.*are 10.*not z\.pkl"):
        volume_latent(series(0, 10), given=DATA / "cryodrgn/z.9.pkl")


def test_what_is_not_known_is_one_sentence_with_the_remedy(tmp_path):
    with pytest.raises(SirenError) as caught:
        volume_latent(series(0, 3), tmp_path)
    assert str(caught.value) == (
        f"Nothing beside the volumes in {tmp_path} says where each is in latent space: give "
        "\"latent FILE\" (z_values.txt, centers.txt, or a csv with a column 'volume' and one for "
        "each coordinate)."
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("volume,z\na.mrc,1\na.mrc,2\n", "has a.mrc twice"),
        ("volume,z\na.mrc,high\n", "has high as 'z' of a.mrc"),
        ("volume,z\nx.mrc,1\n", r"names none of the 2 volumes \(the first is a.mrc\)"),
        ("volume\na.mrc\n", "no column besides 'volume'"),
        ("name,z\na.mrc,1\n", "has no column 'volume'"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_name(tmp_path, content, reason):
    table = tmp_path / "t.csv"
    table.write_text(content)
    with pytest.raises(SirenError, match=f"t.csv.*{reason}"):
        volume_latent(["a.mrc", "b.mrc"], given=table)


def test_names_without_numbers_need_a_table(tmp_path):
    np.savetxt(tmp_path / "z.txt", np.zeros((2, 2)))
    with pytest.raises(SirenError, match="give a csv with a column 'volume'"):
        volume_latent(["a.mrc", "b.mrc"], given=tmp_path / "z.txt")
