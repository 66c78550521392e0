"""From a picture to boxes: letterbox, runtimes, output layouts, decoding, NMS."""
