"""Input of the compact network: features of the region enclosed by each contour level of a map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..maps.grid import Triple
from .normalize import Range

if TYPE_CHECKING:
    from torch import Tensor

#: The profile has LEVELS levels at equal ratios, from LOWEST to HIGHEST times half the map's range
#: above -1. Scaling a map shifts its profile without changing its shape.
LEVELS, LOWEST, HIGHEST = 96, 0.004, 1.7
SHELLS = 32
CHANNELS = 32
#: Larger boxes are counted on every second, third ... voxel along each axis.
MAX_COUNTED_BOX = 160
_SMALLEST_SHARE = 1e-6
_MANY_VOXELS = 1 << 17  # from which counting them in pairs is worth its larger table
_MOSTLY_EMPTY = 0.6  # share in bin 0 from which leaving it out is faster
_STEP = math.log(HIGHEST / LOWEST) / (LEVELS - 1)


def level_values() -> Tensor:
    """(LEVELS,) float32 levels of the profile, on the normalized scale."""
    torch: Any = _torch()
    return LOWEST * torch.exp(_STEP * torch.arange(LEVELS, dtype=torch.float32)) - 1


class NetworkInput(NamedTuple):
    """Input of the compact network for n maps.

    Attributes
    ----------
    profile : (n, 32, 96) float32
        See :func:`network_input`.
    scale : (n, 2) float32
        Encoded voxel sizes, see :func:`.voxel_size.encode_voxel_size`.
    coarse : (n, 2, 32, 32, 32) float32
        Mean and maximum over 2^3 voxels of x + 1 (0 to 2); z, y, x.
    bins : (n, 1, 64, 64, 64) uint8
        Bin of each voxel among the levels: above level j <=> bin > j.
    """

    profile: Tensor
    scale: Tensor
    coarse: Tensor
    bins: Tensor


def network_input(
    x: Tensor, scale: Tensor, full: Sequence[Tensor | None] | None = None
) -> NetworkInput:
    """Compute the input of the compact network.

    Parameters
    ----------
    x : (n, 1, 64, 64, 64) float32
        Normalized maps.
    scale : (n, 2) float32
        See :func:`.voxel_size.encode_voxel_size`.
    full : sequence, optional
        For each map, :func:`share_above` on its original grid; None if that is the 64^3 grid.

    Returns
    -------
    NetworkInput
        The profile has, for each of 96 levels t, at full (64^3), half and quarter resolution: log10
        of the share of voxels above t, for the map, its local means and maxima, after erosion,
        opening and closing (noise forms specks, a molecule is solid), and in four shells about the
        center of the box; how fragmented and how compact the enclosed region is; means over the
        voxels at t, relative to t + 1, of the gradient and of the difference from the surroundings
        at three scales (which changes sign at the edge of a solid body); distance from the center;
        and the share of voxels above t on the original grid. The last row is different: 32 shells
        of the power spectrum, and 32 each of the mean and the maximum by distance from the center
        of mass.
    """
    torch = _torch()
    v = (x + 1).clamp(0, 2)
    mean = _half_size(v)
    coarse = _half_size(mean)
    local, r2 = _local_mean(v, 1), _mass_radius(mean)
    bins, half = level_bins(v), level_bins(mean)
    counts = {id(a): _counts(a) for a in (bins, half)}  # what most rows ask for
    rows = _volumes(bins, local, half, mean, coarse, counts)
    rows += _shapes(bins, half, coarse, r2, counts)
    rows += _level_means(bins, v, local, half, mean, r2, counts)
    rows.append(
        torch.stack(
            [rows[0][i] if f is None else f.to(v) for i, f in enumerate(full or [None] * len(v))]
        )
    )
    rows.append(_shells(v, mean, r2))
    peak = _half_peak(v)
    return NetworkInput(torch.stack(rows, dim=1), scale.to(v), torch.cat([mean, peak], dim=1), bins)


def share_above(
    array: NDArray[np.floating], used: Range, voxel_size: Triple = (1.0, 1.0, 1.0)
) -> Tensor:
    """Share of a map's voxels above each level on its original grid, as log in the profile.

    It shows detail that downsampling to 64^3 smooths away.

    Parameters
    ----------
    array : (z, y, x) array
        In the map's units; a map that is not cubic counts as padded to a cube.
    used : Range
        Range of the 64^3 map.
    voxel_size : tuple of float
        x, y, z, in any unit.

    Returns
    -------
    (96,) float32
    """
    torch = _torch()
    some = array[tuple(slice(None, None, -(-n // MAX_COUNTED_BOX)) for n in array.shape)]
    # a copy: torch warns about read-only arrays
    some = torch.from_numpy(np.array(some, np.float32, order="C"))
    v = (some - used.vol_min) * (2 / (used.vol_max - used.vol_min))
    edges = [n * size for n, size in zip(array.shape, voxel_size[::-1], strict=True)]
    share = _above(level_bins(v)[None])[0] * (math.prod(edges) / max(edges) ** 3)
    return _log_share(share)


def means_at_levels(bins: Tensor, field: Tensor) -> Tensor:
    """Means of k fields over the voxels near each level; differentiable in the fields.

    Parameters
    ----------
    bins : (n, voxels) int64
        Bin of each voxel among the levels.
    field : (n, k, voxels) float32

    Returns
    -------
    (n, k, 96) float32
    """
    torch = _torch()
    n, k = field.shape[:2]
    # a constant field of 1 counts the voxels; 1 is added to the counts, for levels without voxels
    both = torch.cat([field, torch.ones_like(field[:, :1])], dim=1)
    sums = torch.zeros(n, k + 1, LEVELS + 1, device=field.device, dtype=field.dtype)
    sums = sums.scatter_add(2, bins[:, None].expand(-1, k + 1, -1), both)
    sums = _smooth(sums.reshape(n * (k + 1), -1)).reshape(n, k + 1, LEVELS)
    return sums[:, :k] / (sums[:, k:] + 1.0)


def expected_dice(bins: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Expected Dice coefficient of each level; differentiable in ``inside``.

    Parameters
    ----------
    bins : (n, voxels) uint8
        Bin of each voxel among the levels.
    inside : (n, voxels) float32
        Probability that a voxel belongs to the molecule.

    Returns
    -------
    dice : (n, 96) float32
    volume : (n, 96) float32
        log10 of the enclosed volume relative to that of the molecule.
    """
    torch = _torch()
    if inside.requires_grad:
        common = torch.zeros(len(bins), LEVELS + 1, device=inside.device).scatter_add(
            1, bins.long(), inside
        )
        common = common.flip(1).cumsum(1).flip(1)[:, 1:]
    else:  # faster
        common = _above(bins, inside) * bins.shape[1]
    above = _above(bins) * bins.shape[1]
    total = inside.sum(dim=1, keepdim=True) + 1
    return 2 * common / (above + total), torch.log10((above + 1) / total)


def _volumes(
    bins: Tensor,
    local: Tensor,
    half: Tensor,
    mean: Tensor,
    coarse: Tensor,
    counts: dict[int, Tensor],
) -> list[Tensor]:
    """Log shares above each level, of the whole map and of shells about the box's center.

    Minima and maxima are taken of bins, since binning preserves order.
    """
    peak = _half_peak(bins)
    eroded, eroded_half = (
        _local_extreme(bins, 1, smallest=True),
        _local_extreme(half, 1, smallest=True),
    )
    opened, opened_half = (
        _local_extreme(eroded, 1, smallest=False),
        _local_extreme(eroded_half, 1, smallest=False),
    )
    opened_wide = _local_extreme(_local_extreme(eroded_half, 1, smallest=True), 2, smallest=False)
    closed_half = _local_extreme(_local_extreme(half, 1, smallest=False), 1, smallest=True)
    rows = [
        _log_share(_above(a, counts=counts.get(id(a))))
        for a in (
            bins,
            level_bins(local),
            half,
            peak,
            level_bins(coarse),
            eroded,
            opened,
            eroded_half,
            opened_half,
            opened_wide,
            closed_half,
        )
    ]
    radius = _box_radius(mean.shape[-1]).to(mean)
    for low, high in ((0, 0.5), (0.5, 0.8), (0.8, 1.0), (1.0, 2.0)):
        rows.append(_log_share(_above(half[:, :, (radius >= low) & (radius < high)])))
    return rows


def _shapes(
    bins: Tensor, half: Tensor, coarse: Tensor, r2: Tensor, counts: dict[int, Tensor]
) -> list[Tensor]:
    """How fragmented, compact and central the region above each level is."""
    torch = _torch()
    rows = []
    for a, step in ((bins, 1), (half, 1), (half, 2), (level_bins(coarse), 1)):
        number = counts[id(a)] if id(a) in counts else _counts(a)
        share = _above(a, counts=number)
        rows.append(
            torch.log10(
                (_boundary_share(a, step, number) + _SMALLEST_SHARE) / (share + _SMALLEST_SHARE)
            )
        )
    above = _above(half, counts=counts[id(half)])
    rows.append((_above(half, r2) / (above + 1e-7)).sqrt())
    rows.append(
        torch.log10(
            (_above(half, (r2 < 0.25).to(r2)) + _SMALLEST_SHARE) / (above + _SMALLEST_SHARE)
        )
    )
    return rows


def _level_means(
    bins: Tensor,
    v: Tensor,
    local: Tensor,
    half: Tensor,
    mean: Tensor,
    r2: Tensor,
    counts: dict[int, Tensor],
) -> list[Tensor]:
    """Means over the voxels near each level."""
    rows = []
    slope_half = _gradient(mean)
    rough = local - v
    finer = [_gradient(v), rough, rough.abs()]
    coarser = [
        slope_half,
        _local_mean(mean, 1) - mean,
        _local_mean(mean, 3) - mean,
        _local_mean(slope_half, 1),
    ]
    level = (level_values().to(v) + 1)[None]
    for a, fields in ((bins, finer), (half, coarser)):
        count = _smooth(_histogram(a, counts=counts[id(a)])) + 1e-9
        rows += [
            (_smooth(f) / (count * level)).clamp(-4, 4)
            for f in _sums_above_lowest(a, fields, counts[id(a)])
        ]
    count, count_half = (_smooth(_histogram(a, counts=counts[id(a)])) for a in (bins, half))
    rows.append(_smooth(_histogram(half, r2)) / (count_half + 1e-9))
    rows.append((count * 1e6 + 1).log10() / 3)
    return rows


def _shells(v: Tensor, mean: Tensor, r2: Tensor) -> Tensor:
    """(n, 96) power spectrum, and mean and maximum by distance from the center of mass."""
    torch = _torch()
    n, size = len(v), v.shape[-1]
    power = torch.fft.rfftn(v[:, 0], dim=(1, 2, 3)).abs() ** 2
    shell = _frequency_shell(size).to(v.device)
    sums = torch.stack(
        [torch.bincount(shell.flatten(), p, minlength=SHELLS + 1) for p in power.flatten(1)]
    ).to(v)
    counts = torch.bincount(shell.flatten(), minlength=SHELLS + 1).clamp(min=1)
    spectrum = torch.log10(sums[:, :SHELLS] / counts[:SHELLS] + 1e-6)
    spectrum = spectrum - spectrum.mean(dim=1, keepdim=True)
    r = (r2.sqrt() * (SHELLS / 1.2)).long().clamp(max=SHELLS - 1).flatten(1)
    zero = torch.zeros(n, SHELLS, device=v.device, dtype=v.dtype)
    number = zero.scatter_add(1, r, torch.ones_like(mean).flatten(1)).clamp(min=1)
    average = zero.scatter_add(1, r, mean.flatten(1)) / number
    most = zero.scatter_reduce(1, r, mean.flatten(1), "amax")
    average = average / average.amax(dim=1, keepdim=True).clamp(min=1e-6)
    return torch.cat([spectrum / 3, average, most], dim=1)


def _torch() -> Any:
    import torch  # the caller has made sure that it is installed

    return torch


def level_bins(v: Tensor) -> Tensor:
    """Bins (uint8) of values v = x + 1 among the levels: above level j <=> bin > j."""
    torch = _torch()
    return (
        (v * (1 / LOWEST))
        .clamp_(min=1e-3)
        .log_()
        .mul_(1 / _STEP)
        .ceil_()
        .clamp_(0, LEVELS)
        .to(torch.uint8)
    )


def _counts(bins: Tensor) -> Tensor:
    """(n, LEVELS + 1) int64, number of voxels in each bin."""
    torch = _torch()
    flat = bins.flatten(1)
    if flat.shape[1] % 2 or flat.shape[1] < _MANY_VOXELS or bins.device.type != "cpu":
        return torch.stack([torch.bincount(b, minlength=LEVELS + 1) for b in flat])
    # two voxels at a time: half of the additions to a few counters
    rows = []
    for pairs in flat.contiguous().view(torch.int16):
        table = torch.bincount(pairs, minlength=(LEVELS + 1) * 256).reshape(-1, 256)
        rows.append(table.sum(dim=1) + table.sum(dim=0)[: LEVELS + 1])
    return torch.stack(rows)


def _histogram(bins: Tensor, weight: Tensor | None = None, counts: Tensor | None = None) -> Tensor:
    """(n, LEVELS + 1) share of the voxels, or of their weights, in each bin; ``counts``: of the
    voxels, see :func:`_counts`, if they are known.
    """
    torch = _torch()
    voxels = bins[0].numel()
    if weight is None:
        return (_counts(bins) if counts is None else counts).float() / voxels
    both = zip(bins.flatten(1), weight.flatten(1), strict=True)
    sums = torch.stack([torch.bincount(b, w, minlength=LEVELS + 1) for b, w in both])
    return sums.float() / voxels


def _sums_above_lowest(bins: Tensor, weights: list[Tensor], counts: Tensor) -> list[Tensor]:
    """For each of some weights what :func:`_histogram` gives, except in bin 0, which no level asks
    for. Where that holds most voxels, as around a masked molecule, they are left out.
    """
    torch = _torch()
    voxels = bins[0].numel()
    sums: list[list[Tensor]] = [[] for _ in weights]
    for i, one in enumerate(bins.flatten(1)):
        chosen = one.nonzero()[:, 0] if counts[i, 0] > _MOSTLY_EMPTY * voxels else None
        some = one if chosen is None else one.index_select(0, chosen)
        for made, weight in zip(sums, weights, strict=True):
            of = weight[i].flatten()
            of = of if chosen is None else of.index_select(0, chosen)
            made.append(torch.bincount(some, of, minlength=LEVELS + 1))
    return [torch.stack(made).float() / voxels for made in sums]


def _above(bins: Tensor, weight: Tensor | None = None, counts: Tensor | None = None) -> Tensor:
    """(n, LEVELS) share of the voxels of each map, or of their weights, above each level."""
    return _histogram(bins, weight, counts).flip(1).cumsum(1).flip(1)[:, 1:]


def _log_share(share: Tensor) -> Tensor:
    torch = _torch()
    return (torch.log10(share + _SMALLEST_SHARE) + 3) / 2


def _smooth(counts: Tensor) -> Tensor:
    """(n, LEVELS) from bins (n, LEVELS + 1): five bins around each level, weighted 1 2 3 2 1."""
    torch = _torch()
    kernel = torch.tensor([[[1.0, 2.0, 3.0, 2.0, 1.0]]], device=counts.device)
    return torch.nn.functional.conv1d(counts[:, None, 1:], kernel, padding=2)[:, 0]


def _boundary_share(v: Tensor, step: int, counts: Tensor) -> Tensor:
    """(n, LEVELS) share of voxel pairs ``step`` apart along an axis that a level separates.

    ``counts``: of v, see :func:`_counts`. Those of the larger and of the smaller of each pair add
    up to those of both.
    """
    torch = _torch()
    total = torch.zeros(len(v), LEVELS, device=v.device)
    for dim in (2, 3, 4):
        size = v.shape[dim]
        a, b = v.narrow(dim, 0, size - step), v.narrow(dim, step, size - step)
        smaller = torch.minimum(a, b)
        low = _counts(smaller)
        ends = _counts(v.narrow(dim, size - step, step)) + _counts(v.narrow(dim, 0, step))
        high = 2 * counts - ends - low
        total = total + _above(smaller, counts=high) - _above(smaller, counts=low)
    return total


def _local_extreme(v: Tensor, reach: int, smallest: bool) -> Tensor:
    """Local minimum or maximum in cubes of ``reach`` voxels to each side, cut at the faces."""
    torch = _torch()
    choose = torch.minimum if smallest else torch.maximum
    for dim in (2, 3, 4):
        size = v.shape[dim]
        result = v.clone()
        for step in range(1, reach + 1):
            low, high = result.narrow(dim, 0, size - step), result.narrow(dim, step, size - step)
            choose(low, v.narrow(dim, step, size - step), out=low)
            choose(high, v.narrow(dim, 0, size - step), out=high)
        v = result
    return v


def _local_mean(v: Tensor, reach: int) -> Tensor:
    """Local mean in cubes of ``reach`` voxels to each side, cut at the faces of the box."""
    torch = _torch()
    for dim in (2, 3, 4):
        size = v.shape[dim]
        total = v.clone()
        for step in range(1, reach + 1):
            total.narrow(dim, 0, size - step).add_(v.narrow(dim, step, size - step))
            total.narrow(dim, step, size - step).add_(v.narrow(dim, 0, size - step))
        position = torch.arange(size, device=v.device)
        count = (position + reach).clamp(max=size - 1) - (position - reach).clamp(min=0) + 1
        v = total / count.to(v.dtype).reshape([-1 if d == dim else 1 for d in range(5)])
    return v


def _half_size(v: Tensor) -> Tensor:
    """Means over 2^3 voxels."""
    for dim in (2, 3, 4):
        even, odd = v.unflatten(dim, (-1, 2)).unbind(dim + 1)
        v = even + odd
    return v / 8


def _half_peak(v: Tensor) -> Tensor:
    """Maxima over 2^3 voxels."""
    torch = _torch()
    for dim in (2, 3, 4):
        even, odd = v.unflatten(dim, (-1, 2)).unbind(dim + 1)
        v = torch.maximum(even, odd)
    return v


def _gradient(v: Tensor) -> Tensor:
    """Norm of the gradient, per voxel, by central differences; 0 along an axis at its faces."""
    torch = _torch()
    total = torch.zeros_like(v)
    for dim in (2, 3, 4):
        size = v.shape[dim]
        total.narrow(dim, 1, size - 2).add_(
            (v.narrow(dim, 2, size - 2) - v.narrow(dim, 0, size - 2)) ** 2, alpha=0.25
        )
    return total.sqrt()


def _mass_radius(mean: Tensor) -> Tensor:
    """Squared distance of each voxel from the center of mass of v^2; half a box is 1."""
    torch = _torch()
    axis = torch.linspace(-1, 1, mean.shape[-1], device=mean.device, dtype=mean.dtype)
    weight = mean**2
    weight = weight / weight.sum(dim=(1, 2, 3, 4), keepdim=True).clamp(min=1e-9)
    r2 = torch.zeros_like(mean)
    for dim in (2, 3, 4):
        along = axis.reshape([-1 if d == dim else 1 for d in range(5)])
        r2 = r2 + (along - (weight * along).sum(dim=(1, 2, 3, 4), keepdim=True)) ** 2
    return r2


@lru_cache(maxsize=4)
def _box_radius(size: int) -> Tensor:
    """(size, size, size) distance from the box's center, in half boxes."""
    torch = _torch()
    axis = torch.linspace(-1, 1, size) ** 2
    return (axis[:, None, None] + axis[:, None] + axis).sqrt()


@lru_cache(maxsize=4)
def _frequency_shell(size: int) -> Tensor:
    """(size, size, size // 2 + 1) shell of each frequency in rfft order; SHELLS beyond the last."""
    torch = _torch()
    full, half = torch.fft.fftfreq(size), torch.fft.rfftfreq(size)
    k = (full[:, None, None] ** 2 + full[:, None] ** 2 + half**2).sqrt()
    return (k * (2 * SHELLS)).long().clamp(max=SHELLS)
