"""Frame in, detections, annotated frame and statistics out: everything the pages and the training share."""
