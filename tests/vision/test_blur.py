import numpy as np

from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.vision.blur import BLOCKS, blur_faces


def test_a_face_keeps_a_few_blocks_and_the_rest_of_the_picture_stays():
    frame = sample_photo(False)
    before = frame.copy()
    covered = blur_faces(frame, np.array([SAMPLE_FACE_XYXY], float))
    assert (frame == before).all() and covered.shape == frame.shape
    x1, y1, x2, y2 = SAMPLE_FACE_XYXY
    margin = round(0.15 * (x2 - x1)), round(0.15 * (y2 - y1))
    # Rows and columns repeat within a block: as many different ones as there are blocks.
    face = covered[y1 - margin[1] + 1 : y2 + margin[1] - 1, x1 - margin[0] + 1 : x2 + margin[0] - 1]
    assert len(np.unique(face.reshape(len(face), -1), axis=0)) == BLOCKS
    assert len(np.unique(face.swapaxes(0, 1).reshape(face.shape[1], -1), axis=0)) == BLOCKS
    assert (covered[: y1 - margin[1] - 1] == frame[: y1 - margin[1] - 1]).all()
    assert (covered[:, x2 + margin[0] + 1 :] == frame[:, x2 + margin[0] + 1 :]).all()


def test_boxes_beyond_the_frame_and_tiny_ones():
    frame = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    boxes = np.array([(-30, -30, 10, 10), (55, 35, 90, 90), (100, 100, 120, 120), (30, 20, 31, 21)], float)
    covered = blur_faces(frame, boxes)
    assert (covered[:10, :10] != frame[:10, :10]).mean() > 0.9
    assert (covered[20:, :50] == frame[20:, :50]).mean() > 0.99, "the box of one pixel changes nothing"
    assert (blur_faces(frame, np.zeros((0, 4))) == frame).all()
