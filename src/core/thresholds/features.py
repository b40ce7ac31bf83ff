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
BOX_SHELLS = 4
CHANNELS = 30
#: Larger boxes are counted on every second, third ... voxel along each axis.
MAX_COUNTED_BOX = 160
_SMALLEST_SHARE = 1e-6
_MANY_VOXELS = 1 << 17  # from which counting them in pairs is worth its larger table
_STEP = math.log(HIGHEST / LOWEST) / (LEVELS - 1)


def level_values() -> Tensor:
    """(LEVELS,) float32 levels of the profile, on the normalized scale."""
    torch: Any = _torch()
    return LOWEST * torch.exp(_STEP * torch.arange(LEVELS, dtype=torch.float32)) - 1


class NetworkInput(NamedTuple):
    """Input of the compact network for n maps.

    Attributes
    ----------
    profile : (n, 30, 96) float32
        See :func:`network_input`.
    scale : (n, 2) float32
        Encoded voxel sizes, see :func:`.voxel_size.encode_voxel_size`.
    coarse : (n, 2, 32, 32, 32) float32
        Mean and maximum over 2^3 voxels of x + 1 (0 to 2); z, y, x.
    bins : (n, 1, 32, 32, 32) uint8
        Bin of each mean among the levels: above level j <=> bin > j.
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
        of the share of voxels above t, for the map, its maxima over 2^3 voxels, after erosion,
        opening and closing (noise forms specks, a molecule is solid), and in four shells about the
        center of the box; how fragmented and how compact the enclosed region is; means over the
        voxels at t of their difference from the mean of their 2^3 voxels and of the span of levels
        among their neighbors, and, relative to t + 1, of the gradient and of the difference from
        the surroundings at two scales (which changes sign at the edge of a solid body); distance
        from the center; and the share of voxels above t on the original grid. The last row is
        different: 32 shells of the power spectrum, and 32 each of the mean and the maximum by
        distance from the center of mass.
    """
    torch = _torch()
    v = (x + 1).clamp_(0, 2)
    mean, peak = _half_size(v), _half_peak(v)
    coarse = _half_size(mean)
    bins, half, quarter = level_bins(v), level_bins(mean), level_bins(coarse)
    counts = [_counts(a) for a in (bins, half, quarter)]  # what most rows ask for
    low, high = (_local_extreme(bins, 1, smallest) for smallest in (True, False))
    r2 = _mass_radius(mean)
    about = _pairs(_shell_of(r2), half, SHELLS)
    rows = _volumes(bins, half, low, counts)
    rows += _shapes(half, quarter, about, counts)
    rows += _level_means(bins, half, high - low, mean, about, counts)
    rows.append(
        torch.stack(
            [rows[0][i] if f is None else f.to(v) for i, f in enumerate(full or [None] * len(v))]
        )
    )
    rows.append(_shells(v, about))
    return NetworkInput(torch.stack(rows, dim=1), scale.to(v), torch.cat([mean, peak], dim=1), half)


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
    bins = level_bins(v)[None]
    share = _above(_counts(bins), bins)[0] * (math.prod(edges) / max(edges) ** 3)
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
        common = _reversed_sum(common)[:, 1:]
    else:  # faster
        common = _reversed_sum(_histogram(bins, inside))[:, 1:] * bins.shape[1]
    above = _reversed_sum(_counts(bins))[:, 1:].float()
    total = inside.sum(dim=1, keepdim=True) + 1
    return 2 * common / (above + total), torch.log10((above + 1) / total)


def _volumes(bins: Tensor, half: Tensor, low: Tensor, counts: list[Tensor]) -> list[Tensor]:
    """Log shares above each level, of the whole map and of shells about the box's center.

    Minima and maxima are taken of bins, since binning preserves order; ``low``: of the neighbors.
    """
    low_half = _local_extreme(half, 1, smallest=True)
    made = (
        _half_peak(bins),
        low,
        _local_extreme(low, 1, smallest=False),
        low_half,
        _local_extreme(low_half, 1, smallest=False),
        _local_extreme(_local_extreme(low_half, 1, smallest=True), 2, smallest=False),
        _local_extreme(_local_extreme(half, 1, smallest=False), 1, smallest=True),
    )
    shells = _pairs(_box_shells(half.shape[-1]).to(half).expand_as(half), half, BOX_SHELLS)
    share = _reversed_sum(shells)[:, :, 1:] / shells.sum(dim=2, keepdim=True)
    return [
        *(_log_share(_above(c, half if k else bins)) for k, c in enumerate(counts[:2])),
        _log_share(_reversed_sum(counts[2])[:, 1:] / (half[0].numel() // 8)),
        *(_log_share(_above(_counts(a), a)) for a in made),
        *_log_share(share).unbind(1),
    ]


def _shapes(half: Tensor, quarter: Tensor, about: Tensor, counts: list[Tensor]) -> list[Tensor]:
    """How fragmented, compact and central the region above each level is."""
    torch = _torch()
    rows = []
    for a, number in ((half, counts[1]), (quarter, counts[2])):
        share = _above(number, a)
        rows.append(
            torch.log10(
                (_boundary_share(a, 1, number) + _SMALLEST_SHARE) / (share + _SMALLEST_SHARE)
            )
        )
    above = _reversed_sum(about / half[0].numel())[:, :, 1:]  # (n, SHELLS, LEVELS)
    share, radius = above.sum(dim=1), _shell_radius(above)
    rows.append(((above * radius[:, None] ** 2).sum(dim=1) / (share + 1e-7)).sqrt())
    central = (above * (radius < 0.5)[:, None]).sum(dim=1)
    rows.append(torch.log10((central + _SMALLEST_SHARE) / (share + _SMALLEST_SHARE)))
    return rows


def _level_means(
    bins: Tensor,
    half: Tensor,
    span: Tensor,
    mean: Tensor,
    about: Tensor,
    counts: list[Tensor],
) -> list[Tensor]:
    """Means over the voxels near each level; ``span``: of the bins around each voxel.

    Those at full resolution come from tables of how many voxels have each pair of bins, which are
    faster to fill than sums over voxels are to make.
    """
    torch = _torch()
    rows = []
    blocks = _pairs(bins, _twice(half), LEVELS + 1)
    spans = _pairs(bins, span, LEVELS + 1)
    step = torch.arange(LEVELS + 1, device=bins.device)
    change = ((step - step[:, None]) * _STEP).exp().sub_(1).clamp_(max=4)
    near = _smooth(counts[0] / bins[0].numel()) + 1e-9
    for table, value in (
        (blocks, change),
        (blocks, change.abs()),
        (spans, (step / 24).expand(LEVELS + 1, -1)),
        (spans, (-step / 4).exp().expand(LEVELS + 1, -1)),
    ):
        rows.append(_smooth((table * value).sum(dim=2) / bins[0].numel()) / near)
    slope = _gradient(mean)
    level = (level_values().to(mean) + 1)[None]
    near_half = _smooth(counts[1] / half[0].numel()) + 1e-9
    rows += [
        (_smooth(_histogram(half, f)) / (near_half * level)).clamp(-4, 4)
        for f in (
            slope,
            _local_mean(mean, 1) - mean,
            _local_mean(mean, 3) - mean,
            _local_mean(slope, 1),
        )
    ]
    r2 = (about * _shell_radius(about)[:, None] ** 2).sum(dim=1) / half[0].numel()
    rows.append(_smooth(r2) / near_half)
    rows.append((near * 1e6 + 1).log10() / 3)
    return rows


def _shells(v: Tensor, about: Tensor) -> Tensor:
    """(n, 96) power spectrum, and mean and maximum by distance from the center of mass.

    The spectrum is that of the three projections along the axes: central sections of the map's.
    """
    torch = _torch()
    sections = torch.cat([v.sum(dim=dim) for dim in (2, 3, 4)], dim=1)
    power = torch.fft.rfftn(sections, dim=(2, 3)).abs().square().sum(dim=1).flatten(1)
    spectrum = torch.log10(power @ _frequency_shells(v.shape[-1]).to(v) / 3 + 1e-6)
    spectrum = spectrum - spectrum.mean(dim=1, keepdim=True)
    value = LOWEST * ((torch.arange(LEVELS + 1, device=v.device) - 0.5) * _STEP).exp()
    average = (about * value).sum(dim=2) / about.sum(dim=2).clamp(min=1)
    most = ((about > 0) * value).amax(dim=2)
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
    if bins.device.type != "cpu":
        zero = torch.zeros(len(flat), LEVELS + 1, device=bins.device, dtype=torch.int64)
        return zero.scatter_add(1, flat.long(), torch.ones_like(flat, dtype=torch.int64))
    if flat.shape[1] % 2 or flat.shape[1] < _MANY_VOXELS:
        return torch.stack([torch.bincount(b, minlength=LEVELS + 1) for b in flat])
    # two voxels at a time: half of the additions to a few counters
    rows = []
    for pairs in flat.contiguous().view(torch.int16):
        table = torch.bincount(pairs, minlength=(LEVELS + 1) * 256).reshape(-1, 256)
        rows.append(table.sum(dim=1) + table.sum(dim=0)[: LEVELS + 1])
    return torch.stack(rows)


def _pairs(first: Tensor, second: Tensor, rows: int) -> Tensor:
    """(n, rows, LEVELS + 1) float32, number of voxels for each pair of a value below ``rows`` (at
    most 128) and a bin; both uint8.
    """
    torch = _torch()
    both = first.to(torch.int16).mul_(256).add_(second).flatten(1)
    tables = torch.stack([torch.bincount(b, minlength=rows * 256) for b in both])
    return tables.reshape(len(both), -1, 256)[:, :, : LEVELS + 1].float()


def _histogram(bins: Tensor, weight: Tensor) -> Tensor:
    """(n, LEVELS + 1) mean over all voxels of their weights, in each bin."""
    torch = _torch()
    both = zip(bins.flatten(1), weight.flatten(1), strict=True)
    sums = torch.stack([torch.bincount(b, w, minlength=LEVELS + 1) for b, w in both])
    return sums.float() / bins[0].numel()


def _reversed_sum(counts: Tensor) -> Tensor:
    return counts.flip(-1).cumsum(-1).flip(-1)


def _above(counts: Tensor, of: Tensor) -> Tensor:
    """(n, LEVELS) share of the voxels of each map above each level, from their counts."""
    return _reversed_sum(counts)[:, 1:].float() / of[0].numel()


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
        total = total + _above(high - low, smaller)
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


def _twice(v: Tensor) -> Tensor:
    """Each voxel as 2^3 voxels."""
    n, c, *size = v.shape
    both = v[:, :, :, None, :, None, :, None].expand(n, c, size[0], 2, size[1], 2, size[2], 2)
    return both.reshape(n, c, *(2 * k for k in size))


def _shell_of(r2: Tensor) -> Tensor:
    """Shell (uint8) of squared distances from the center of mass; the last has all beyond."""
    torch = _torch()
    return (r2.sqrt() * (SHELLS / 1.2)).clamp_(max=SHELLS - 1).to(torch.uint8)


def _shell_radius(like: Tensor) -> Tensor:
    """(SHELLS,) radius in the middle of each shell, in half boxes."""
    torch = _torch()
    return (torch.arange(SHELLS, device=like.device) + 0.5) * (1.2 / SHELLS)


@lru_cache(maxsize=4)
def _box_shells(size: int) -> Tensor:
    """(size, size, size) shell about the box's center: to 0.5, 0.8, 1 and 2 half boxes."""
    torch = _torch()
    axis = torch.linspace(-1, 1, size) ** 2
    radius = (axis[:, None, None] + axis[:, None] + axis).sqrt()
    return torch.bucketize(radius, torch.tensor([0.5, 0.8, 1.0]), right=True).to(torch.uint8)


@lru_cache(maxsize=4)
def _frequency_shells(size: int) -> Tensor:
    """(frequencies of a section in rfft order, SHELLS): mean over each shell of frequencies."""
    torch = _torch()
    full, half = torch.fft.fftfreq(size), torch.fft.rfftfreq(size)
    shell = ((full[:, None] ** 2 + half**2).sqrt() * (2 * SHELLS)).long().flatten()
    of = (shell[:, None] == torch.arange(SHELLS)).float()
    return of / of.sum(dim=0)
