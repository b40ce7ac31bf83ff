"""The contour level of each map.

predict (predict_levels), network, consensus (consistent levels across an ensemble), flags (maps and
levels that look wrong), labels, evaluate and finetune (levels set by eye), preprocess (copies for
other programs), tables (predictions.csv and related tables).

May import: common, maps, blocks.
"""
