"""The figures of runs, matplotlib without Qt, for files, the panel and notebooks; and the colors of
blocks.

draw (draw, save_figure), occupancies (write_occupancies); levels, states, relations, graph,
scatter: a figure each; theme (Theme, Labels), axes: what they share; colors (block_colors).

May import: common, maps, blocks, analysis, runs.
"""
