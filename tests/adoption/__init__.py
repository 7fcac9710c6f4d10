"""The take-over of an app with an older form of the feature: `examples/tracker`, step by step, while people use it."""
