"""The tuned numbers of core in one place: what each is, its unit, why it has this value, and where
that was measured.

What a user may change is a parameter (the ``parameters.py`` of each room), what belongs to a file
format stands with its reader, and what describes the network's layers stands with the network.
Everything else that somebody once chose is here. Code reads these as ``constants.NAME``, so that a
benchmark can move one: ``make bench-sensitivity`` moves those that no test fixes, and writes
devel/benchmarks/sensitivity.md.
"""

from __future__ import annotations

# --- How much is worked on at once. Results do not depend on these (tests move them); waiting for a
# stop and memory do.

TILE_VOXELS = 4096  # voxels unpacked together: 16 MB of occupancy at 1,000 volumes
# pairs of voxels looked at together: some 30 MB of arrays, a tenth of a second
TILE_PAIRS = 1_000_000
CUTOFFS_AT_ONCE = 100_000  # binomial cutoffs worked out together: a tenth of a second
KINSHIP_VOXELS_AT_ONCE = 4000  # voxels added to the likeness of volumes between two looks at a stop
# counted while Python's lock is held, and a window must be drawn meanwhile
PREVIEW_VOXELS_AT_ONCE = 1 << 20

# --- Memory and time that a step may take, and what the user is told: devel/benchmarks/speed.md

KEPT_BYTES = 600e6  # maps that fit are read from disk once and kept, not read three times
LONG_SECONDS, MUCH_BYTES = 30.0, 2e9  # beyond either, the user is told before the work starts
MEMORY_SHARE = 0.8  # of the free memory that a run may plan with: others work too
# of a grid: a map and its mask, sums for the mean in two precisions, means and frequencies, twice
BYTES_A_VOXEL = 40
BYTES_AN_EDGE = 104  # while it is clustered: its ends, twice, and the matrix of neighbors
TILE_BYTES = 150e6  # of the pairs that are looked at together
PAIRS_A_SECOND = 40e6  # compared and tested by one core of a common machine

# --- Prices of a step, on one core of the reference machine: devel/benchmarks/speed.md

FIXED_SECONDS = 0.3  # of any step
READ_SECONDS = 5e-9  # for a voxel of a map, read and binarized
RESAMPLE_SECONDS = 1.2e-7  # for a voxel of a map that is brought to another box
NETWORK_SECONDS = 0.021  # for a map, two threads
PAIR_SECONDS = 8e-11  # for one pair of voxels in one volume
EDGE_SECONDS = 8e-6  # for a pair that goes together, while it is clustered
# of comparing and clustering that one random half of the volumes takes, for stability
HALF_SHARE = 0.04
LIBRARY_BYTES = 0.1e9
NETWORK_BYTES = 0.32e9  # of torch and a batch of 4 in each of two threads
# share of voxels that are occupied in some volumes: the example's, where no earlier run tells
USUAL_OCCUPIED = 0.045
# a voxel against all blocks' profiles costs what as many pairs of voxels do
PROFILE_COMPARISONS = 200

# --- Fewest volumes, of three kinds

FEWEST_TO_HARMONIZE = 3  # volumes: with fewer there is no median to agree on
# volumes with a block, and without: a bad level and a blob of noise meet in fewer
FEWEST_WITH_AND_WITHOUT = 5
FEWEST_FOR_A_MAJORITY = 8  # volumes: with fewer there is no majority that one could be unlike

# --- Which voxels are compared

UNION_FRACTION = 0.01  # of the volumes in which a voxel must be occupied to count: as published
USUAL_SUBSAMPLE = 2  # one voxel in so many is drawn: as published
# voxels compared by profile: all pairs take seconds; a block of a few hundred still has dozens
MOST_SAMPLED = 12_000
MOST_COUNTED = 40_000  # voxels compared by counting, where the user does not say: a minute
# pairs that go together, where the user does not say: 2 GB while they are clustered
MOST_EDGES = 20e6
PILOT_VOXELS = 2_000  # of the sample, from which the number of edges is guessed

# --- The profile statistic: sensitivity.md

# strongest partners of a voxel: enough to hold a block together, few enough to keep weak ties out
NEIGHBORS = 25
# of Leiden's modularity: communities that are split too far are merged again, those merged too
# early are not
RESOLUTION = 1.5
LEIDEN_ITERATIONS = 2  # more gain nothing in the blocks: devel/benchmarks/communities.md
# voxels: as far as the blurred edges of two neighbors add up to more than the level
SEAM_REACH = 3.0
PROFILE_ROUNDS = 20  # of assigning voxels to profiles; it settles in five or so
DISTANCE_VOXELS = 400  # of a block, between which distances are taken
# one-sided p above which a voxel correlates with no block at all, and is not looked at again
GLANCE = 0.001

# --- Presence

# between the mean shares of volumes with and without a block; planted blocks have 0.48 and more,
PRESENCE_GAP = 0.25
# at noise x4 and with levels 30 % off (devel/benchmarks/conditions.py)

# --- Verdicts: devel/benchmarks/decoders.md (set on its training molecules)

LEAST_CONTRAST = (
    0.45  # (present - absent) / present: surfaces that move across the level have 0.05 to 0.4
)
SOLID_CONTRAST = 0.6  # below, a part is graded: never quite there, or never quite gone
LEAST_SOLIDITY = 0.7  # share of a block in solid pieces: noise in empty space has 0.05 to 0.7
SOLID_PIECE = 10  # voxels
NOISE_RISE = (
    5.0  # times the SD of the background by which a block must rise, in few effective volumes
)
FEW_EFFECTIVE = (
    30  # effective volumes below which statistics says nothing; independent volumes count one each
)
BACKGROUND_PAIRS = 400  # background voxels whose pairs are correlated
MASS_REACH = 5  # voxels: as far as a moving part goes
LOSS = 0.25  # of a block's mean gain: smaller losses nearby are noise and ringing
MOST_EXCHANGE = 1.0  # beyond, a part moves
SAME_DENSITY = 0.985  # correlation of densities above which touching blocks are shells of one part

# --- Levels that agree: sensitivity.md

# of the volumes in which a core voxel is occupied; the second where noise leaves too few
CORE_SHARE = (0.97, 0.90)
FEWEST_CORE = 30  # voxels; a smaller core says too little of the scale
# voxels of core and of background: noise is correlated, so more say little more
MOST_ANCHORS = 1500
SCALE_ROUNDS = 4  # of scale and reference map; both settle after two or three
# square voxels: steps of the table of noise by squared distance; cubes have whole numbers
NOISE_STEP = 0.25

# --- Junk volumes: sensitivity.md

JUNK_VOXELS = 20_000  # compared at most; volumes differ in far more than that many
KIN_SHARE = 0.02  # of the volumes: a real minority of the particles has at least so many members
JUNK_LIKENESS = 0.5  # of the median's kinship, below which a volume is junk

# --- Stability

# of a block, by which it is told again: enough to say "more than half of it", few enough to be
# quick
JUDGED_VOXELS = 50
# Jaccard index above which two sets of voxels are one block: no two found blocks can both be above
SAME_BLOCK = 0.5

# --- Relations between blocks

NEARLY_ALL = 0.95  # share of the volumes with one block that must have another for "only with"
FALSE_RELATION = 0.01  # probability that one relation among all pairs of blocks is there by chance
# rows of a heat map: beyond, the best order of a tree's leaves keeps Python busy for over 50 ms
MOST_ORDERED = 200

# --- Flags of a predicted level: devel/benchmarks/trust.md

# voxels as far below the background as the level is above it, over those above the level
NOISE_SHARE = 0.5
# how far the lowest 0.1 % go below the background, over how far the highest go above
NOISE_TAIL = 0.7
FEWEST_VOXELS = 8  # of 64^3: fewer above a level are no molecule
FULL_BOX = 0.5  # share of the box that no particle fills
LARGEST_PIECE = 0.15  # share of what is enclosed that the largest piece holds at least
WIDE_ERROR = 0.25  # expected error of the normalized level
# robust SDs and factor: an enclosed volume is an outlier beyond both
ENCLOSED_SD, ENCLOSED_FACTOR = 4.0, 1.5
# correlation of occupied voxels that volumes of one ensemble pass (0.45 to 0.75); of others, 0.2
SAME_MOLECULE = 0.3

# --- Fine-tuning

FEWEST_LABELS = 5  # fewer leave nothing to hold out
# p of what fine-tuning gains; the best of many epochs of noise would pass a milder test
SIGNIFICANT_GAIN = 0.01
NO_LOSS = 1e-6  # of a level that is right but for what nobody sees
