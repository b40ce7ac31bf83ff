"""Tuned numbers of core in one place: meaning, unit, reason, and where each was measured.

Elsewhere are: what a user may change (``parameters.py`` of each room), what belongs to a file
format (with its reader), the layer sizes and the training of the networks (with the networks), the
simulated example's numbers (simulation/), and sizes and waits that belong to one function (chunks,
timeouts, limits of a figure or a preview), beside it.

Use these as ``constants.NAME``, never as imported names, so that a benchmark can change one:
``make bench-sensitivity`` varies some of those that decide which blocks are found and writes
devel/benchmarks/sensitivity.md.
"""

from __future__ import annotations

# --- Chunk sizes. Results do not depend on them (tests vary them); memory and the response to a
# stop do.

TILE_VOXELS = 4096  # voxels unpacked at a time: 16 MB of occupancy at 1,000 volumes
TILE_VALUES = 4_000_000  # and fewer voxels of many volumes: their temporaries take 24 bytes each
CACHED_VALUES = 32_768  # values ordered at a time, which fit into a processor's cache
TILE_PAIRS = 1_000_000  # voxel pairs compared at a time: about 30 MB of arrays, 0.1 s
MIRRORED_PAIRS = 2_000_000  # pairs of voxels remembered for a later strip: 24 MB
CUTOFFS_AT_ONCE = 100_000  # binomial cutoffs computed at a time: 0.1 s
# voxels correlated between two checks for a stop, and fewer of many volumes; volumes that are
# correlated with all at a time
SIMILARITY_VOXELS_AT_ONCE, SIMILARITY_VALUES_AT_ONCE = 4000, 8_000_000
SIMILARITY_VOLUMES_AT_ONCE = 1000
# voxels counted in one numpy call, which holds Python's lock while the window waits to be redrawn
PREVIEW_VOXELS_AT_ONCE = 1 << 20

# --- Limits on memory and time, and when the user is warned: devel/benchmarks/speed.md

CACHE_BYTES = 600e6  # maps that are slow to read are kept in memory once read, if all fit
KEPT_BYTES = 300e6  # of what a sketch made of the volumes, kept for the expansion that follows
# by which levels may change, of their height above the background, without a volume being read
# again: of simulated and decoders' volumes few change by more
LEVEL_CHANGE = 0.1
SURROUNDINGS = 6.0  # voxels kept around those that vary, for each of these, at most
WARN_SECONDS, WARN_BYTES = 30.0, 2e9  # above either, the user is told before the work starts
MEMORY_SHARE = 0.8  # share of the free memory that a run may use; the rest is for other programs
# per voxel of the grid: a map and its mask, sums for the mean in two precisions, means and
# frequencies, twice
BYTES_PER_VOXEL = 30
# per volume: its anchors, in three precisions while scales are measured, or its correlations with
# SIMILARITY_VOLUMES_AT_ONCE others
BYTES_PER_VOLUME = 60_000
EXPAND_VOLUME_BYTES = 36_000  # the same of an expansion, which measures no scales
BYTES_PER_EDGE = 104  # during clustering: both ends, twice, and the sparse neighbor matrix
TILE_BYTES = 60e6  # memory of one tile of pairs
PAIRS_PER_SECOND = 60e6  # counted and tested by one core of an ordinary computer
# the same by profile: each pair is counted once, and few are looked at closer
PROFILE_PAIRS_PER_SECOND = 200e6

# --- Cost of a step on one core of the reference machine: devel/benchmarks/speed.md

FIXED_SECONDS = 0.3  # any step
READ_SECONDS = 2.2e-9  # per map voxel and pass
UNPACK_SECONDS = 5e-8  # per voxel of a map that is compressed, each time it is read
OPEN_SECONDS = 2.5e-4  # per map and pass
RESAMPLE_SECONDS = 1.2e-7  # per map voxel, resampled to another box
NETWORK_SECONDS = 0.011  # per map, two threads
PAIR_SECONDS = 4e-11  # per voxel pair and volume
EDGE_SECONDS = 3e-6  # per significant pair, during clustering
HALF_SHARE = 0.04  # share of comparing and clustering that one random half takes, for stability
VOLUME_SECONDS = 1e-3  # per volume of an expansion: evidence, and stability in 10 halves
EXPAND_VOXEL_SECONDS = 2e-6  # per voxel of an expansion, however few the volumes: its surroundings
EVIDENCE_SECONDS = 6e-8  # per voxel that varies, and volume: where blocks are many, by degrees
SKETCH_VOLUME_SECONDS = 1e-3  # per volume of a sketch: the same, and its scale
# per pair of volumes that the search for junk compares, and PAIR_SECONDS for each voxel
JUNK_SECONDS = 7e-8
LIBRARY_BYTES = 0.1e9
NETWORK_BYTES = 0.32e9  # torch, and a batch of 4 in each of two threads
# share of the voxels that are occupied in some volumes: the example's, used before the first run
TYPICAL_OCCUPIED = 0.045
# comparing a voxel with all block profiles costs as much as this many voxel pairs, and this many
# more if it goes with a block, as it is compared in every round then
PROFILE_COMPARISONS, ROUND_COMPARISONS = 1000, 3000

# --- Minimum numbers of volumes, of three kinds

MIN_VOLUMES_TO_HARMONIZE = 3  # fewer have no meaningful median
# with a block, and without it: a bad level or a speck of noise shows in fewer. Below FEW_VOLUMES, 3
# will do: of 60 volumes they are as large a share as 5 of 100
MIN_VOLUMES_WITH_AND_WITHOUT, MIN_OF_FEW = 5, 3
FEW_VOLUMES = 100
MIN_VOLUMES_FOR_MAJORITY = 8  # fewer have no majority to differ from

# --- Headers in another unit

LEAST_BOX = 60.0  # Angstrom along the longest side: no particle and its surroundings fit in less
MOST_BOX = 20_000.0  # twice the longest side of a tomogram

# --- Maps beside the states of an ensemble: half maps, masks, means, eigenvolumes

COMPANIONS_READ = 3  # maps of a kind that are read: programs write all of a kind alike
COARSE_PARTS = 16  # along each axis, in which such maps are compared: noise averages out
# correlation of coarse maps: a half map or a mean has 0.5 and more with the states, what is not of
# their particle less than this
COMPANION_LIKENESS = 0.3
STATE_LIKENESS = 0.9  # above this, what is named like an eigenvolume is a state
USUAL_NAMES = (
    0.8  # share of the maps whose names differ only by numbers: others look odd beside them
)

# --- Which voxels are compared

UNION_FRACTION = 0.01  # share of the volumes in which a voxel must be occupied, as published
DEFAULT_SUBSAMPLE = 2  # one voxel in two is sampled, as published
# where the background is occupied in more than this share of the volumes, voxels are compared that
# are occupied more often, by so many SDs of its own spread; where it is rarer, these are patches of
# noise, too: at 0.015, one became a block
NOISY_BACKGROUND, ABOVE_NOISE = 0.04, 2.0
# voxels compared by profile: all pairs take seconds; dozens remain of a block of a few hundred
MAX_SAMPLED_VOXELS = 12_000
MAX_COUNTED_VOXELS = 40_000  # voxels compared by counting, unless the user says otherwise: a minute
MAX_EDGES = 20e6  # significant pairs, unless the user says otherwise: 2 GB during clustering
PILOT_VOXELS = 2_000  # sampled voxels from which the number of edges is estimated

# --- The profile statistic: sensitivity.md

# volumes in which two voxels may differ to count as one profile, below FEW_VOLUMES. That a pair is
# in the same 3 of 60 is chance, 1 in 34,220 and so in some of all pairs; that 25 of 12,000 voxels
# are is not
SAME_BUT = 1
# strongest partners kept per voxel: enough to hold a block together, too few for weak ties
NEIGHBORS = 25
# of Leiden's modularity: communities that are split too far are merged again, those merged too
# early are not
RESOLUTION = 1.5
LEIDEN_ITERATIONS = 2  # more gain nothing in the blocks: devel/benchmarks/communities.md
# volumes, below FEW_VOLUMES, that tell two blocks apart if many voxels of both say so: one may be a
# bad volume
MIN_TELLING = 2
# voxels around a voxel that say which of two blocks its place belongs to; odd, so that most are of
# one
NEAREST_VOXELS = 9
# voxels: as far as the blurred edges of two neighbors add up to more than the level
SEAM_REACH = 3.0
# correlation with a block's profile above which "siren block grow into correlated" adds a voxel:
# of a layer taken off the blocks of the example (150 volumes, 48^3), it brings back 95 %, and 93 %
# of what it adds was there; at 0.4 96 and 86 %, at 0.6 92 and 98 %; into density 63 % was there
MEMBER_PHI = 0.5
# the same above which a voxel belongs to a block where volumes share their noise. On decoder
# ensembles, training half, at predicted levels: 0.923 of the ceiling at 0.5, 0.930, 0.934 and 0.931
# at 0.55, 0.6 and 0.65; at true levels 0.979, 0.985, 0.983 and 0.975. At 0.6, edges of parts that
# match nothing stand in two ensembles more
DEPENDENT_PHI = 0.55
PROFILE_ROUNDS = 20  # of assigning voxels to profiles; converges in about five
DISTANCE_VOXELS = 400  # voxels per block between which distances are computed
# one-sided p above which a voxel correlates with no block and is dropped
PRESCREEN_P = 0.001

# --- Presence

# minimum gap between the mean shares of volumes with and without a block; planted blocks have 0.48
# or more, even at noise x4 and with levels 30 % off (devel/benchmarks/conditions.py)
PRESENCE_GAP = 0.25
PRESENCE_ROUNDS = 20  # of dividing volumes into two groups; converges in about five
CUT_RESAMPLES = 1000  # of the volumes, for the interval of a cut
CUT_CONFIDENCE = 0.95  # of that interval
# over which shares of exactly 0 and 1 are spread outward before they are tested for two groups
SATURATED = 0.1
BIMODAL_P = 0.05  # false discovery rate of parts said to be bimodal
DIP_RESAMPLES = 999  # of the closest unimodal distribution
DIP_ENOUGH = 20  # of them with a dip as large: p is above 0.02, and known well enough

# --- Masks and chains whose occupancy is asked

MASK_TOLERANCE = 0.1  # beyond 0 and 1 that the values of a mask may have after resampling
# share of the voxels above a tenth of the maximum that are within a tenth of it: whole volumes have
# 0.0001 to 0.004 (18 real ones), masks 0.007 and more, also small ones of wide or smoothed edges
MASK_FLAT = 0.005
MASK_TOP = 8  # voxels as high as the highest are flat enough, also if the edge is far wider
SAME_BOX = 0.005  # by which the sides of two boxes may differ: voxel sizes are rounded
CHAIN_REACH = 3.0  # A from an atom: about where density at 4 to 8 A falls to half
CHAIN_VOXELS = 0.9  # the half diagonal of a voxel is 0.87: every atom is within that of a voxel
MOST_CLUSTERS = 20  # of volumes, unless the user says otherwise

# --- Verdicts: devel/benchmarks/decoders.md

# (present - absent) / present of a block's density: surfaces that move across the level have 0.05
# to 0.4, parts that come and go 0.45 and more
MIN_CONTRAST = 0.45
SOLID_CONTRAST = 0.6  # below this a part is graded: never quite present, or never quite absent
MIN_SOLIDITY = 0.7  # share of a block in solid pieces: noise in empty space has 0.05 to 0.7
SOLID_PIECE = 10  # voxels
# SDs of background or core by which a block must rise if the volumes are few effective ones
NOISE_RISE = 5.0
# the same where the volumes form no two groups, as noise does. Of nulls one block had 6.1, others
# 5.1 at most
GRADED_RISE = 6.5
FEW_EFFECTIVE = 30  # effective volumes below which p-values and halves of the volumes mean little
# a report warns of blocks in so few effective volumes, or missing in so few; of such a stability;
# and if so large a share of the volumes was left out
RARE_VOLUMES, LOW_STABILITY, MANY_LEFT_OUT = 10, 0.5, 0.1
# Da/A^3, of protein: 1 / (1.66 x its partial specific volume, 0.73 cm^3/g; nucleic acid has 0.55)
PROTEIN_DENSITY = 0.825
QUIET_SHARE = 0.02  # share of the volumes in which a background voxel may be occupied
# voxels of background and of core: fewer do not tell; more add little
MIN_BACKGROUND_VOXELS, MAX_BACKGROUND_VOXELS = 30, 1500
BACKGROUND_PERCENTILE = (
    95.0  # of the SDs of background voxels: blocks are found where noise is high
)
# SD relative to the highest below which a voxel does not vary, as outside a soft mask
MIN_VARIATION = 0.05
BACKGROUND_PAIRS = 400  # background voxels whose pairs are correlated
MIN_BACKGROUND_PAIRS = 100  # fewer do not give the variance of a correlation
# share of the box beyond which noise of neighboring voxels is not correlated
DISTANT_SHARE = 0.25
MIN_SAMPLED_PIECE = 3  # voxels of a solid piece in a sample, however sparse
MASS_REACH = 5  # voxels: how far a moving part goes
MIN_LOSS = 0.25  # of a block's mean gain: smaller losses nearby are noise and ringing
LEFT_DENSITY = 0.5  # levels: less, without the block, is not a part of the molecule that left
# leaving over coming density between this and its inverse: a part moves. Domains that turn have 0.5
# to 0.8, parts that come and go below 0.48, unless one replaces another
MOVING_EXCHANGE = 0.48
# where as much density leaves near by, a smaller contrast will do: the margins of a domain that
# turns had 0.34 to 0.6 and a separation of 0.6 and more, no block of a null as much of both
MOVING_CONTRAST = 0.38
MOVING_SEPARATION = 0.6
# of the way from gone to there, around the middle: in such volumes a block is half there; and how
# many of them, and of those before and after, tell what passes
HALF_THERE, MIN_HALF_THERE = 0.25, 4
PASSING_REACH = 2  # voxels, from what comes and from what leaves, within which density passes
# density that passes, over density that comes, above which a part moves, if as much as
# PASSING_EXCHANGE leaves within MASS_REACH: the rest leaves farther away. Particles that bend have
# 0.0077 and more; of 36 parts beside which others leave, 34 have 0.003 at most
MIN_PASSING, PASSING_EXCHANGE = 0.005, 0.1
# share of the variance over the volumes between those with a block and those without, below which
# there are no two groups: a uniform distribution, the flattest with one mode, has 3/4
ONE_GROUP = 0.75
# the same in volumes that depend on each other, below which it is the tail of one group: a rare
# artifact of a decoder had 0.33, true blocks 0.41 and more
MIN_SEPARATION = 0.37
# share of a block's rise that is seen in all directions from the middle of the box. Known parts of
# molecules have 0.18 at most, artifacts in the middle 0.8 to 1
MAX_SYMMETRY = 0.5
DIRECTIONS = 400  # in which density around the middle is read, at each distance in voxels
# share of a block from which its rise climbs to a peak in it. Most edges of parts and seams of two
# have 0 to 0.08, parts that come and go 0.23 and more, but for one
MIN_PEAK = 0.15
# times as often as the block must such a peak be there: edges are above the level in 1/4 to 2/3 of
# the volumes with their part
MORE_OFTEN = 1.25
# density below the background over density above it, in the lowest and the highest volumes of a
# block. Parts that come and go, of decoders of all kinds, have 0.32 at most, noise that is strong
# beside the molecule 0.52 and more
MAX_NEGATIVE = 0.42
# correlation of densities above which touching blocks are shells of one part
SAME_DENSITY = 0.985

# --- Level harmonization: sensitivity.md

# share of the volumes in which a core voxel is occupied; the second where noise leaves too few
CORE_SHARE = (0.97, 0.90)
MIN_CORE_VOXELS = 30  # a smaller core does not determine the scale
# voxels of core and of background: noise is correlated, so more add little
MAX_ANCHORS = 1500
# share of a volume's values, or of a voxel's, on either side of their median among which it is
# looked for when they have changed a little; results do not depend on it
NEAR_MEDIAN = 0.015
SCALE_ROUNDS = 4  # of scale and reference map; both converge in two or three
# voxels squared: bins of the noise correlation by squared distance; cubic voxels have whole numbers
NOISE_STEP = 0.25

# --- Junk volumes: sensitivity.md

JUNK_VOXELS = 20_000  # voxels compared at most; junk differs in far more
# voxels outside the union that are compared too, relative to those inside: a volume that occupies
# the whole union has no pattern without them
JUNK_OUTSIDE = 0.25
NEAREST_SHARE = 0.02  # share of the volumes: any real minority of particles has at least as many
# fraction of the median similarity to the nearest, and of what others show; below both a volume is
# junk. Of what others show, complete volumes hold all and noise within 0.2 of nothing
JUNK_SIMILARITY = 0.5

# --- Hand and alignment

ALIGNMENT_VOXELS = 32  # along the longest side, on which volumes are compared with a typical one
ALIGNMENT_VOLUMES = 48  # looked at first: half of an ensemble, or a tenth, is not missed
# correlation of occupied voxels with the typical volume above which a volume is like it at all
ALIGNED_LIKENESS = 0.35
# by how much the mirror image, or another place, must be more like it, and by half of that lie
# within the others with more of its voxels; of decoders' and simulated
# ensembles at noise x4 that are aligned, mirror images are 0.01 less and other places 0.01 more
ALIGNMENT_GAIN = 0.07
# share of the other volumes in which a coarse voxel is occupied, for it to be one of theirs
ALIGNMENT_UNION = 0.1

# --- Stability: decoders.md

# of the height of the levels above the background, for one half after the other: a pair of halves
# has both of 25 % or both of 10 %
LEVEL_FACTORS = (0.8, 1.25, 0.9, 1.11)
# voxels drawn per block to recognize it: enough to tell "more than half of it", few enough to be
# fast
MAX_DRAWN_VOXELS = 50
# Jaccard index above which two sets of voxels are the same block: only one of the blocks found can
# exceed it
SAME_BLOCK = 0.5

# --- Blocks of two runs

# IoU below which two blocks are no match: that of any two of different parts stays below
MIN_MATCH = 0.2
# false discovery rate of "found again": devel/benchmarks/replication.md
REPLICATION_Q = 0.05
# and score above which a block is replicated: half of the way from chance to the same voxels
REPLICATION_SCORE = 0.5
# random placements of a block of which the one that lies most in the region counts, and voxels by
# which that is judged
PLACEMENT_TRIES, PLACEMENT_VOXELS = 10, 200
# of two mean maps: by less they are as good as aligned. Means of halves of the particles differ by
# up to 0.15 voxels and 0.5 degrees
ALIGNED_SHIFT, ALIGNED_ANGLE = 0.5, 1.0  # voxels, degrees
# correlation of two mean maps, below which they are hardly the same molecule
MIN_COMMON_LIKENESS = 0.5

# --- Relations between blocks

# "a only with b": the volumes with a and without b are no more than errors make, if at least this
# share of the volumes with a has b; set, not tuned
NEARLY_ALL = 0.95
CONSISTENT = 0.05  # one-sided p-value below which they are more
# and surely more than this share has b, or "never with": surely less; relations.md has 2/3 and 3/4,
# too, which miss 8 and 18 % more of the relations at 200 volumes and are hardly ever more precise
SURELY_MOST = 0.5
FALSE_RELATION_RATE = 0.05  # false ones among the relations said, all pairs and both directions
# "independent": the share of volumes with a differs by less than this between volumes with b and
# without, and the reverse; at 200 volumes, a narrower band cannot be told from chance
INDEPENDENT_BAND = 0.25
MIN_GROUP = 5  # volumes with, or without, a block from which the spread of its shares is known
BOUND = 0.05  # one-sided: two bounds are a 90 % interval
# rows of a heat map: optimal leaf ordering of more holds Python's lock for over 50 ms
MAX_ORDERED_ROWS = 200

# --- Atoms and blocks

ATOM_REACH = 3.0  # A: van der Waals radius and a bond, where voxels are smaller
# share of a block's voxels nearest to a chain, above which its name names the block, too: of two
# proteins in one block both are told, a neighbor that touches it is not
NAMING_SHARE = 0.2
# share of a chain's residues in a block, above which the block is named by the chain alone: of the
# 50S proteins, each a block of its own, 0.82 to 0.99 lie within a contour level
NAMED_WHOLE = 0.8

# --- Averages of sets of volumes, in units of the contour level above the background

# of the SDs of random differences over the voxels that are ever occupied; and what is no difference
# of densities to look at, however sure
DIFFERENCE_PERCENTILE, MIN_DIFFERENCE = 95.0, 0.1

# --- Volumes found again after they were moved: occupied voxels of a block that may differ from the
# run's table, as share of its voxels and in voxels. The table has four decimals, and resampled maps
# round otherwise on another processor; volumes of another state differ by half of a block and more
SAME_SHARE = 0.01
SAME_VOXELS = 2

# --- Flags of a predicted level: devel/benchmarks/trust.md

# voxels as far below the background as the level is above it, relative to those above the level
NOISE_SHARE = 0.5
# depth of the lowest 0.1 % below the background, relative to the height of the highest 0.1 %
NOISE_TAIL = 0.7
# the same above which density is below the background: 1 / NOISE_TAIL
INVERTED_TAIL = 1.43
MIN_ENCLOSED_VOXELS = 8  # of 64^3: fewer cannot be a molecule
MAX_BOX_SHARE = 0.5  # share of the box; no particle fills as much
MIN_LARGEST_PIECE = 0.15  # share of the enclosed voxels that the largest piece holds
LARGE_ERROR = 0.25  # expected error of the normalized level
# robust SDs and factor: an enclosed volume beyond both is an outlier
ENCLOSED_SD, ENCLOSED_FACTOR = 4.0, 1.5
# correlation of occupied voxels between volumes of one ensemble is 0.45 to 0.75, of different
# molecules 0.2
SAME_MOLECULE = 0.3

# --- Fine-tuning

# 8 to validate and 2 held out: if training helps all of fewer than 7, that is chance with p above
# SIGNIFICANT_GAIN (1/2 to the 6th is 0.016). With 6 labels, weights were kept that were worse
MIN_LABELS = 10
# p of the improvement; the best of many epochs of noise would pass a milder test
SIGNIFICANT_GAIN = 0.01
LOSS_FLOOR = 1e-6  # added before the logarithm: smaller losses are invisible differences
