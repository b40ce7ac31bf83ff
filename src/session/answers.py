"""What a command answers to a program: its result as JSON, for REST, MCP and
``run(session, command, return_json=True)``.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from chimerax.core.commands import CmdDesc, RestOfLine
from chimerax.core.errors import UserError

from ..core.common.errors import known_error

_waiting: list[dict[str, Any]] = []  # of the commands that run now, one inside the other


def answering(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of a command, with the keyword ``return_json`` of ChimeraX's own commands.

    Whoever asks for JSON waits for the result, also in a ChimeraX with windows, where the command
    would otherwise run in the background and have nothing to answer yet.
    """

    @wraps(function)
    def answer(session: Any, *arguments: Any, return_json: bool = False, **keywords: Any) -> Any:
        if not return_json:
            return _files_named(function, session, *arguments, **keywords)
        from chimerax.core.commands import JSONResult

        with _answer() as facts:
            result = _files_named(function, session, *arguments, **keywords)
            found = {**facts_of(result), **facts}
        return JSONResult(json.dumps(plain(found), allow_nan=False), sendable(result))

    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    place = len(parameters) - (parameters[-1].kind is inspect.Parameter.VAR_KEYWORD)
    asked = inspect.Parameter("return_json", inspect.Parameter.KEYWORD_ONLY, default=False)
    parameters.insert(place, asked)
    answer.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return answer


def refusing(error: ModuleNotFoundError) -> tuple[CmdDesc, Callable[..., Any]]:
    """Description and function of a command that says which package it lacks, whatever is typed
    after it.

    Raises
    ------
    ModuleNotFoundError
        If that is no package that SIREn asks for.
    """
    known = known_error(error)
    if known is None:
        raise error

    def refuse(session: Any, rest: str = "") -> None:
        raise UserError(str(known))

    return CmdDesc(optional=[("rest", RestOfLine)], synopsis=str(known)), refuse


def _files_named(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Run a command; an error of the file system that nobody expected, or a package that is not
    there, is one sentence, too.
    """
    try:
        return function(*arguments, **keywords)
    except (OSError, ModuleNotFoundError) as error:
        known = known_error(error)
        if known is None:
            raise
        raise UserError(str(known)) from None


@contextmanager
def _answer() -> Iterator[dict[str, Any]]:
    facts: dict[str, Any] = {}
    _waiting.append(facts)
    try:
        yield facts
    finally:
        _waiting.remove(facts)


def is_awaited() -> bool:
    """Whether somebody waits for the answer of the command that runs now."""
    return bool(_waiting)


def also_answer(**facts: Any) -> None:
    """Add to the answer of the command that runs now what its result does not say, such as the
    files that it wrote.
    """
    if _waiting:
        _waiting[-1].update(facts)


def facts_of(result: Any) -> dict[str, Any]:
    """What a command found, in names and plain values.

    By the names of types, so that nothing is imported that the command did without. A result of
    another type gives its fields, without arrays.
    """
    if result is None:
        return {}
    if isinstance(result, Mapping):
        return dict(result)
    if isinstance(result, Path):
        return {"file": result}
    if isinstance(result, list | tuple) and result:
        name, each = _FACTS_OF_LISTS.get(type(result[0]).__name__, ("results", _fields))
        return {name: [each(one) for one in result]}
    if isinstance(result, list | tuple):
        return {"results": []}
    facts = _FACTS.get(type(result).__name__)
    if facts is not None:
        return facts(result)
    if hasattr(result, "id_string"):
        return _model(result)
    return _fields(result)


def plain(value: Any) -> Any:
    """A value as JSON knows it: numbers that are not finite are null, paths are text."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Sequence | set | frozenset):
        return [plain(v) for v in value]
    return plain(_fields(value)) if is_dataclass(value) else str(value)


def sendable(result: Any) -> Any:
    """A result that ChimeraX's REST server can send: from 1.11 on it sends what is JSON's own, and
    the ``str`` of an object of ChimeraX or SIREn; anything else, such as a path, would end it
    without an answer.
    """
    if isinstance(result, Mapping):
        return {str(k): sendable(v) for k, v in result.items()}
    if isinstance(result, list | tuple):
        return [sendable(one) for one in result]
    if "chimerax" in type(result).__module__:
        return result
    return plain(result)


def _fields(result: Any) -> dict[str, Any]:
    if not is_dataclass(result):
        return {"result": str(result)}
    named = {f.name: getattr(result, f.name) for f in fields(result)}
    return {name: value for name, value in named.items() if not isinstance(value, np.ndarray)}


def _example(found: Any) -> dict[str, Any]:
    return {
        "folder": found.folder,
        "volumes": found.simulation.parameters.volumes,
        "blocks": [unit.name for unit in found.simulation.units],
        "replaced": found.replaced,
    }


def _run(run: Any) -> dict[str, Any]:
    record = run.record
    return {
        "folder": run.folder,
        "step": record.step,
        "blocks": run.table.to_dict("records"),
        "volumes": len(record.volumes),
        "left_out": {v["name"]: v["left_out"] for v in record.volumes if v["left_out"]},
        "thresholds": record.thresholds,
        "grid": record.grid.as_json(),
        "counts": record.counts,
        "parameters": record.parameters,
        "notes": run.notes,
        "replaced": run.replaced,
        "kept_as": run.aside,
    }


def _predictions(found: Any) -> dict[str, Any]:
    rows = (
        {"file": r.file, "level": r.level, "uncertainty": r.uncertainty, "flags": r.flags}
        for r in found.rows
    )
    return {
        "levels": list(rows),
        "weights": found.weights,
        "device": found.device,
        "notes": found.notes,
    }


def _evaluation(found: Any) -> dict[str, Any]:
    return {
        "folder": found.folder,
        "figure": found.plot,
        **_agreement(found.agreement),
        "kept_as": found.aside,
    }


def _agreement(found: Any) -> dict[str, Any]:
    return {"volumes": found.count, "not_predicted": found.unpredicted, **found.metrics}


def _finetuned(found: Any) -> dict[str, Any]:
    return {
        "folder": found.folder,
        "weights": found.weights,
        "kept_epoch": found.fit.best,
        "volumes": {part: len(names) for part, names in found.parts.items()},
        "held_out_before": _agreement(found.before),
        "held_out_after": _agreement(found.after),
        "kept_as": found.aside,
    }


def _states(found: Any) -> dict[str, Any]:
    from ..core.analysis.relations import relations

    present = found.present
    rows = (
        {
            "block": number,
            "voxels": found.sizes[row],
            "present_above": found.cuts[row],
            "two_groups": number not in found.ungrouped,
            "volumes": [n for n, there in zip(found.names, present[row], strict=True) if there],
        }
        for row, number in enumerate(found.numbers)
    )
    related = relations(found).graph().edges(data="relation")
    return {
        "volumes": len(found.names),
        "blocks": list(rows),
        "relations": [{"block": a, "relation": word, "other": b} for a, b, word in related],
    }


def _particles(found: Any) -> dict[str, Any]:
    from ..core.particles.choose import facts

    return {"folder": found.folder, **facts(found.particles, found.sources, found.files)}


def _annotation(found: Any) -> dict[str, Any]:
    unexplained = set(found.unexplained)
    each = zip(found.numbers, found.sizes, found.explained, strict=True)
    return {
        "reach_A": found.reach,
        "blocks": [
            {
                "block": number,
                "voxels": size,
                "explained": share,
                "is_explained": number not in unexplained,
                "chains": [
                    {
                        "chain": c.chain,
                        "name": c.name,
                        "spec": c.spec,
                        "ranges": c.ranges,
                        "share_of_residues": c.share_of_residues,
                        "share_of_atoms": c.share_of_atoms,
                        "near_chain": c.near,
                        "nearest_chain": c.nearest,
                    }
                    for c in found.of(number)
                ],
            }
            for number, size, share in each
        ],
    }


def _masks(found: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"notes": found.notes}
    if found.masks:
        facts["folder"] = found.masks.folder
        facts["masks"] = found.masks.table.to_dict("records")
        facts["grid"] = found.masks.grid.as_json()
        facts["replaced"] = found.masks.replaced
    if found.maven:
        facts["maven"] = {
            "folder": found.maven.folder,
            "masks": found.maven.table.to_dict("records"),
            "volumes": len(found.maven.levels),
            "skipped": found.maven.skipped,
            "without_level": found.maven.without,
        }
    if found.segmentation:
        facts["segmentation"] = {"file": found.segmentation.file, "table": found.segmentation.table}
    return facts


def _related(found: Any) -> dict[str, Any]:
    from itertools import combinations

    related, order, graph = found.relations, found.order, found.graph
    pairs = [
        {
            "a": related.numbers[i],
            "b": related.numbers[j],
            "relation": related.word(i, j),
            "follows": related.follows(i, j),
            "both": related.both[i, j],
            "phi": related.phi[i, j],
            "odds_ratio": related.odds_ratio[i, j],
            "p_adjusted": related.p_adjusted(i, j),
            **{
                name: [share[i, j], low[i, j], high[i, j]]
                for name, share, low, high in (
                    ("a_given_b", related.given, related.given_low, related.given_high),
                    ("b_given_a", related.given.T, related.given_low.T, related.given_high.T),
                )
            },
        }
        for i, j in combinations(range(len(related.numbers)), 2)
    ]
    return {
        "volumes": related.volumes,
        "effective_volumes": related.effective,
        "pairs": pairs,
        "graph": {
            "groups": graph.groups,
            "needs": [
                {"blocks": graph.groups[b], "need": graph.groups[a]}
                for a, b in sorted(graph.needs.edges)
            ],
            "never_together": [[graph.groups[a], graph.groups[b]] for a, b in graph.exclusive],
        },
        "combinations": [
            {
                "blocks": c.blocks,
                "volumes": c.count,
                "share": [c.count / related.volumes, c.low, c.high],
                "if_independent": c.if_independent,
                "by_errors": c.by_errors,
                "p_errors": c.p_errors,
                "for_example": c.volume,
            }
            for c in found.combinations
        ],
        "order": {
            "steps": order.steps,
            "without_place": order.free,
            "before": [
                {"first": a, "then": n, "support": order.support_of(a, n)}
                for n in order.numbers
                for a in order.after(n)
            ],
            "support": order.whole,
            "exact": order.exact,
            "resamples": order.resamples,
        },
    }


def _series(found: Any) -> dict[str, Any]:
    volumes = [{"volume": s.name, "level": s.level, "text": s.text} for s in found.steps]
    return {"order": found.order, "volumes": volumes, "grid": found.grid.as_json()}


def _occupancies(found: Any) -> dict[str, Any]:
    order = found.order
    present, uncertain = found.states.present, found.uncertain
    parts = (
        {
            "part": part.name,
            "label": part.label,
            "origin": part.origin,
            "voxels": len(part.voxels),
            "reference_sum": part.reference,
            "call": call.call,
            "cut": call.cut,
            "cut_interval": [call.low, call.high],
            "present": call.present,
            "uncertain": call.uncertain,
            "share_distribution": call.share,
            "maven_distribution": call.maven,
            "share": found.share[k],
            "maven": found.maven[k],
            "present_in": [n for n, there in zip(found.names, present[k], strict=True) if there],
            "uncertain_in": [
                n for n, doubt in zip(found.names, uncertain[k], strict=True) if doubt
            ],
        }
        for k, (part, call) in enumerate(zip(found.parts, found.calls, strict=True))
    )
    return {
        "volumes": found.names,
        "levels": found.levels,
        "maven_measure": found.maven_words,
        "parts": list(parts),
        "order": {
            "by": order.by,
            "volumes": [found.names[v] for v in order.volumes.order],
            "clusters": order.cluster[order.volumes.order],
            "parts": [found.parts[k].name for k in order.parts.order],
        },
    }


def _blocks(found: Any) -> dict[str, Any]:
    return {
        "blocks": [
            {"block": number, "name": found.names.get(number, ""), "voxels": len(voxels)}
            for number, voxels in found
        ]
    }


def _setting(found: Any) -> dict[str, Any]:
    sizes = _blocks(found.blocks)["blocks"]
    return {
        "posp": found.parameters.posp,
        "negp": found.parameters.negp,
        "blocks": [
            {**one, "stability": found.blocks.stability.get(one["block"]), "same_as": same}
            for one, same in zip(sizes, found.same_as, strict=True)
        ],
    }


def _model(model: Any) -> dict[str, Any]:
    return {
        "model": f"#{model.id_string}",
        "name": model.name,
        "models": [f"#{m.id_string}" for m in model.child_models()],
    }


_FACTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "Example": _example,
    "Run": _run,
    "Predictions": _predictions,
    "Evaluation": _evaluation,
    "Finetuned": _finetuned,
    "States": _states,
    "Related": _related,
    "Series": _series,
    "Occupancies": _occupancies,
    "BlockSet": _blocks,
    "WrittenParticles": _particles,
    "Annotation": _annotation,
    "MaskFiles": _masks,
}
_FACTS_OF_LISTS: dict[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "Setting": ("settings", _setting),
    "Label": ("labels", _fields),
    "Proposal": ("maps", _fields),
}
