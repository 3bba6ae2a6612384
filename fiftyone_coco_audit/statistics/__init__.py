"""Statistics of images, objects, classes, the network's input, and anchors."""
