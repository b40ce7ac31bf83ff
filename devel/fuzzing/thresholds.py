"""Readers of tables of thresholds, labels and weights, and of an unfinished prediction."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from chimerax.siren.core.common.errors import JunkMap
from chimerax.siren.core.thresholds.evaluate import evaluate
from chimerax.siren.core.thresholds.labels import (
    Label,
    match_labels,
    read_labels,
    set_labels,
    write_template,
)
from chimerax.siren.core.thresholds.resume import Unfinished, junk_result
from chimerax.siren.core.thresholds.tables import (
    read_flags,
    read_predictions,
    read_table,
    read_thresholds,
    table_levels,
)
from fuzzing.changes import changed_bytes, changed_table, odd
from fuzzing.good import Good, Reader, one_sentence, some_volumes


def tables(name: str) -> Reader:
    """All that reads a table of predictions or labels."""

    def read(good: Good, folder: Path, data: DataObject) -> None:
        content = changed_table(data, good.text(name))
        if data.draw(st.integers(0, 5)) == 0:
            content = changed_bytes(data, content)
        path = folder / name
        path.write_bytes(content)
        ensemble = some_volumes(good.root)
        names = ensemble.all_names
        if name == "labels.csv":
            labels = one_sentence(read_labels, path)
            if labels is not None:
                assert all(np.isfinite(label.level) for label in labels)
                one_sentence(match_labels, labels, path, names)
            one_sentence(evaluate, path, good.root / "predictions.csv")
            one_sentence(write_template, path, list(names[:2]), names)
            one_sentence(set_labels, path, [Label("1", names[1], 0.5)])
            return
        one_sentence(evaluate, good.root / "labels.csv", path)
        levels = one_sentence(read_thresholds, path, ensemble)
        assert levels is None or np.isfinite(levels).all()
        one_sentence(read_table, path, names)
        one_sentence(read_flags, path, ensemble)
        for alone in (table_levels, read_predictions):
            one_sentence(alone, path)

    return read


def weights(good: Good, folder: Path, data: DataObject) -> None:
    """Weights of the network, and what else a file of torch may hold."""
    from chimerax.siren.core.thresholds.network import (
        FORMAT,
        default_weights,
        import_torch,
        load_network,
    )

    torch = import_torch()
    path = folder / "w.pt"
    if data.draw(st.integers(0, 3)):
        path.write_bytes(changed_bytes(data, default_weights().read_bytes()))
    else:
        tensors = st.sampled_from([torch.zeros(2), torch.zeros(1).expand(1 << 40), 3, "x", None])
        names = st.sampled_from(
            ["conv.0.weight", "mlp.0.bias", "conv.x", "members.7.a", "members.x"]
        )
        state = data.draw(st.dictionaries(st.one_of(names, st.integers()), tensors, max_size=4))
        key = data.draw(st.sampled_from(["state_dict", "model_state_dict", "metadata", "epoch"]))
        form = data.draw(st.one_of(st.just(FORMAT), odd))
        buffer = io.BytesIO()
        torch.save({"format": form, key: state}, buffer)
        path.write_bytes(buffer.getvalue())
    one_sentence(load_network, path)


def unfinished(good: Good, folder: Path, data: DataObject) -> None:
    """What is left of a prediction that was killed: what is damaged is predicted again."""
    batch = [s for s in some_volumes(good.root).sources[:3]]
    path, places = folder / "unfinished", {s.name: n for n, s in enumerate(batch)}
    results = [
        junk_result(s.name, n, JunkMap("a is constant.", "constant")) for n, s in enumerate(batch)
    ]
    Unfinished(path, "x").add(batch, results)
    path.write_bytes(changed_bytes(data, path.read_bytes()))
    text, _, _ = path.read_bytes().strip().rpartition(b" ")
    if data.draw(st.booleans()):  # as if another program had written it, with its sum
        text = changed_bytes(data, text)
        path.write_bytes(text + b" %08x\n" % zlib.crc32(text))
    found = Unfinished(path, "x").results(batch, places)
    assert found is None or [one.row.file for one in found] == [s.name for s in batch]
