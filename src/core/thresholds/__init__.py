"""The contour level of each map.

predict (predict_levels, by the network of network), consensus (levels of an ensemble in line with
each other), flags (what looks wrong), labels, evaluate and finetune (levels set by eye),
preprocess (copies for other programs), tables (predictions.csv and its kin).

May import: common, maps, blocks.
"""
