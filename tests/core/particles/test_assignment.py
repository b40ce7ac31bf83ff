"""Which volume each particle belongs to: as the programs wrote it, and never guessed."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.particles.assignment import assign
from chimerax.siren.core.particles.numbering import numbering
from chimerax.siren.core.particles.places import Files, find_files

DATA = Path(__file__).parent / "data"
KMEANS = DATA / "cryodrgn/analyze.9/kmeans6"


def series(first, count, form="vol_{:03d}.mrc"):
    return [form.format(n) for n in range(first, first + count)]


def dumped(path, value):
    path.write_bytes(pickle.dumps(value))
    return path


def unpickled(path):
    with path.open("rb") as file:
        return pickle.load(file)


# --- numbers in file names


@pytest.mark.parametrize("first", [0, 1, 7])
def test_a_whole_series_says_which_volume_is_cluster_0(first):
    names = series(first, 20)
    found = numbering(names, names, 20, None, "labels.pkl")
    assert found.first == first
    assert found.clusters == {name: k for k, name in enumerate(names)}
    assert found.words.startswith(f"vol_{first:03d}.mrc = cluster 0 to vol_{first + 19:03d}.mrc = ")


def test_volumes_that_were_not_used_still_tell_by_being_there():
    names = series(5, 3)
    for first in (0, 1):
        found = numbering(names, series(first, 20), 20, None, "labels.pkl")
        assert found.clusters == {f"vol_{n:03d}.mrc": n - first for n in (5, 6, 7)}


def test_one_end_of_a_series_is_enough():
    assert numbering(["a0", "a3"], ["a0", "a3"], 6, None, "x").first == 0
    assert numbering(["a2", "a6"], ["a2", "a6"], 6, None, "x").first == 1


def test_an_open_series_is_refused_and_first_settles_it():
    names = series(3, 5)
    with pytest.raises(SirenError) as caught:
        numbering(names, names, 20, None, "labels.pkl")
    assert str(caught.value) == (
        "Which volume is cluster 0 of labels.pkl is open: it has 20 clusters, and there are "
        'vol_003.mrc to vol_007.mrc; add "first 0" if vol_000.mrc is cluster 0, or "first 1" if '
        "vol_001.mrc is."
    )
    for first in (0, 1):
        assert numbering(names, names, 20, first, "x").clusters["vol_003.mrc"] == 3 - first


@pytest.mark.parametrize(
    ("names", "clusters", "first", "reason"),
    [
        (series(0, 20), 19, None, "does not fit the volumes vol_000.mrc to vol_019.mrc"),
        (series(1, 20), 20, 0, 'vol_001.mrc to vol_020.mrc with "first 0"'),
        (series(0, 20), 20, 1, 'vol_000.mrc to vol_019.mrc with "first 1"'),
        (["a1.mrc", "b2.mrc"], 3, None, "several series"),
        (["mean.mrc", "a2.mrc"], 3, None, "no number at its end"),
        (["a1.mrc", "a1.map"], 3, None, "same number"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(names, clusters, first, reason):
    with pytest.raises(SirenError, match=reason.replace(".", r"\.")):
        numbering(names, names, clusters, first, "labels.pkl")


def test_every_way_of_naming_and_leaving_out_gives_the_true_cluster_or_a_refusal():
    """Never a wrong one: 200 series of known numbering, with files left out at random."""
    chance = np.random.default_rng(0)
    taken = 0
    for _ in range(200):
        first, clusters = int(chance.integers(0, 2)), int(chance.integers(2, 30))
        full = series(first, clusters)
        kept = [n for n in full if chance.random() < 0.8] or full[:1]
        try:
            found = numbering(kept, kept, clusters, None, "x")
        except SirenError:
            continue
        taken += 1
        assert found.clusters == {n: full.index(n) for n in kept}
    assert taken > 50


# --- what the programs wrote


def test_cryodrgns_clusters_are_found_beside_the_volumes_and_vol_001_is_cluster_0():
    names = series(1, 6)
    files = find_files(Files(), KMEANS)
    assert files.labels == KMEANS / "labels.pkl"
    assert files.notes == (f"Found {KMEANS / 'labels.pkl'}: the cluster of each particle.",)
    found = assign(files, names, names)
    assert np.array_equal(found.volume, unpickled(KMEANS / "labels.pkl"))
    assert np.array_equal(found.rows, np.arange(120)) and not found.open_end
    # each volume is at a particle of its own cluster
    own = np.loadtxt(KMEANS / "centers_ind.txt", int)
    assert np.array_equal(found.volume[own], np.arange(6))


def test_of_a_traversal_the_particles_are_those_nearest_in_latent_space_and_it_is_said():
    folder, names = DATA / "cryodrgn/analyze.9/pc1", series(1, 10)
    files = find_files(Files(), folder)
    assert files.latent == DATA / "cryodrgn/z.9.pkl"
    found = assign(files, names, names)
    z, centers = unpickled(files.latent), np.loadtxt(folder / "z_values.txt")
    distance = [[((p.astype(float) - c) ** 2).sum() for c in centers] for p in z]
    assert np.array_equal(found.volume, np.argmin(distance, axis=1))
    assert found.nearest and "nearest in latent space" in found.notes[-1]


def test_tomodrgns_clusters_are_found_and_vol_000_is_cluster_0():
    folder, names = DATA / "tomodrgn/analyze.7/kmeans4", series(0, 4)
    found = assign(find_files(Files(), folder), names, names)
    assert np.array_equal(found.volume, unpickled(folder / "labels.pkl"))


def test_recovars_clusters_are_by_rows_of_the_particle_file_without_those_it_did_not_use():
    folder, names = DATA / "recovar/analysis_4/kmeans", series(0, 5, "center{:03d}.mrc")
    found = assign(find_files(Files(), folder), names, names)
    used = np.sort(np.concatenate(unpickled(DATA / "recovar/model/particles_halfsets.pkl")))
    assert np.array_equal(np.flatnonzero(found.volume >= 0), used) and found.open_end
    z, centers = (
        np.load(DATA / "recovar/model/zdim_4/latent_coords.npy"),
        np.loadtxt(folder / "centers.txt"),
    )
    nearest = ((z[:, None] - centers) ** 2).sum(2).argmin(1)
    assert np.array_equal(found.volume[used], nearest)


def test_recovars_unused_rows_are_known_where_they_look_like_cluster_0(tmp_path):
    """As on processors that make 0 of NaN."""
    shutil.copytree(DATA / "recovar", tmp_path / "r")
    path = tmp_path / "r/analysis_4/data/kmeans_result.pkl"
    content = unpickled(path)
    names = series(0, 5, "center{:03d}.mrc")
    expected = assign(find_files(Files(labels=path), None), names).volume
    content["labels"] = np.maximum(content["labels"], 0)
    dumped(path, content)
    found = assign(find_files(Files(labels=path), None), names).volume
    assert np.array_equal(found, expected) and (found == -2).any()


def test_states_of_recovar_take_the_particles_that_it_used(tmp_path):
    shutil.copytree(DATA / "recovar", tmp_path / "r")
    shutil.copytree(tmp_path / "r/analysis_4/kmeans", tmp_path / "r/analysis_4/traj000")
    names = series(0, 5, "state{:03d}.mrc")
    found = assign(find_files(Files(), tmp_path / "r/analysis_4/traj000"), names, names)
    used = np.sort(np.concatenate(unpickled(DATA / "recovar/model/particles_halfsets.pkl")))
    assert np.array_equal(found.rows, used)


# --- lists that anybody may write


def test_a_csv_names_volumes_by_file_name_or_by_the_number_in_it(tmp_path):
    names = ["vol_001.mrc", "vol_002.mrc", "vol_010.mrc"]
    for cells in (names, ["vol_001", "vol_002", "vol_010"], ["1", "2", "10"]):
        text = "volume\n" + "\n".join([*cells, cells[0], "", "vol_099.mrc"]) + "\n"
        text = text.replace("\n\n", '\n""\n')
        (tmp_path / "a.csv").write_text(text)
        found = assign(Files(labels=tmp_path / "a.csv"), names)
        assert found.volume.tolist() == [0, 1, 2, 0, -1] or found.volume.tolist() == [
            0,
            1,
            2,
            0,
            -2,
            -1,
        ]


def test_a_csv_may_name_rows_of_the_particle_file(tmp_path):
    (tmp_path / "a.csv").write_text("particle,volume\n7,b.mrc\n2,a.mrc\n")
    found = assign(Files(labels=tmp_path / "a.csv"), ["a.mrc", "b.mrc"])
    assert found.rows.tolist() == [7, 2] and found.volume.tolist() == [1, 0]
    (tmp_path / "a.csv").write_text("particle,volume\n7,b.mrc\n7,a.mrc\n")
    with pytest.raises(SirenError, match="row 7 twice"):
        assign(Files(labels=tmp_path / "a.csv"), ["a.mrc", "b.mrc"])


def test_a_npy_counts_clusters_from_0_as_the_programs_do(tmp_path):
    np.save(tmp_path / "a.npy", np.array([2, 0, 1, 0]))
    for first in (0, 1):
        names = series(first, 3)
        assert assign(Files(labels=tmp_path / "a.npy"), names).volume.tolist() == [2, 0, 1, 0]


def test_indices_of_the_training_become_rows_of_the_particle_file(tmp_path):
    labels = dumped(tmp_path / "labels.pkl", np.array([1, 0, 1]))
    for indices in (np.array([9, 4, 5]), [9, 4, 5]):
        path = dumped(tmp_path / "ind.pkl", indices)
        found = assign(Files(labels=labels, indices=path), series(0, 2))
        assert found.rows.tolist() == [9, 4, 5] and found.open_end
    mask = dumped(tmp_path / "ind.pkl", np.array([False, True, False, True, True]))
    assert assign(Files(labels=labels, indices=mask), series(0, 2)).rows.tolist() == [1, 3, 4]
    short = dumped(tmp_path / "ind.pkl", np.array([9, 4]))
    with pytest.raises(SirenError, match=r"ind\.pkl has 2 rows for the 3 particles of labels\.pkl"):
        assign(Files(labels=labels, indices=short), series(0, 2))


@pytest.mark.parametrize("quoted", ["{}", "'{}'", '"{}"'])
def test_the_filter_of_a_training_is_found_by_its_configuration(tmp_path, quoted):
    folder = tmp_path / "run/analyze.9/kmeans2"
    folder.mkdir(parents=True)
    dumped(folder / "labels.pkl", np.array([1, 0]))
    ind = dumped(tmp_path / "my ind.pkl", np.array([3, 8]))
    for place in (str(ind), "/gone/elsewhere/my ind.pkl", "../my ind.pkl"):
        (tmp_path / "run/config.yaml").write_text(
            f"dataset_args:\n  ctf: null\n  ind: {quoted.format(place)}\n  norm:\n  - 0.0\n"
            "model_args:\n  encode_mode: tilt\n"
        )
        files = find_files(Files(), folder)
        assert files.indices.resolve() == ind and files.tilts is True
        assert "as config.yaml says" in files.notes[-1]
    (tmp_path / "run/config.yaml").write_text("dataset_args:\n  ind: null\n")
    assert find_files(Files(), folder).indices is None
    (tmp_path / "run/config.yaml").write_text("dataset_args:\n  ind: /gone/other.pkl\n")
    with pytest.raises(SirenError, match=r'/gone/other\.pkl, which is not there: give "indices'):
        find_files(Files(), folder)


def test_a_configuration_that_cannot_be_read_as_plain_values_is_said(tmp_path):
    folder = tmp_path / "run/analyze.9/kmeans2"
    folder.mkdir(parents=True)
    dumped(folder / "labels.pkl", np.array([1, 0]))
    dumped(tmp_path / "run/config.pkl", {"starfile_args": {"type": Path}})
    assert 'add "indices FILE"' in find_files(Files(), folder).notes[-1]
    dumped(tmp_path / "run/config.pkl", {"dataset_args": {"ind": None}, "model_args": {}})
    assert len(find_files(Files(), folder).notes) == 1


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.array([0.5, 1]), "not whole"),
        (np.array([0.0, np.inf]), "not whole"),
        (np.array([-3, 1]), "below 0"),
        (np.array([[0, 1], [1, 0]]), "is no list of clusters"),
        (np.array(["a", "b"]), "is no list of clusters"),
        (np.array([], int), "is no list of clusters"),
        (["x", "y"], "is no list of clusters"),
        (5, "is no list of clusters"),
        ({"labels": np.array([0])}, "has no labels and centers"),
        ({"labels": np.array([0, 5]), "centers": np.zeros((2, 2))}, "numbers clusters up to 5"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path, labels, reason):
    path = dumped(tmp_path / "labels.pkl", labels)
    with pytest.raises(SirenError, match=reason) as caught:
        assign(Files(labels=path), series(0, 2))
    assert str(caught.value).startswith("labels.pkl")


def test_clusters_of_another_run_or_counted_from_1_are_seen_by_their_centers(tmp_path):
    for change, reason in (
        (lambda labels: labels + 1, "numbers clusters up to 6, but centers_ind.txt has 6"),
        (lambda labels: (labels + 1) % 6, "0 are in their own cluster"),
        (lambda labels: np.roll(labels, 5), "are in their own cluster"),
    ):
        for name in ("labels.pkl", "centers_ind.txt"):
            shutil.copy(KMEANS / name, tmp_path)
        dumped(tmp_path / "labels.pkl", change(unpickled(KMEANS / "labels.pkl")))
        with pytest.raises(SirenError, match=reason):
            assign(find_files(Files(), tmp_path), series(1, 6))


def test_nothing_beside_the_volumes_is_said_with_what_to_give(tmp_path):
    with pytest.raises(SirenError, match='give "labels FILE"'):
        find_files(Files(), tmp_path)
    (tmp_path / "z_values.txt").write_text("1 2\n3 4\n")
    with pytest.raises(SirenError, match="says where each particle is in latent space"):
        find_files(Files(), tmp_path)
