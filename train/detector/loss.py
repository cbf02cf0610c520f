"""What the detector's training minimizes."""

from typing import TypeVar

import numpy as np
from keras import KerasTensor, ops

from train.detector.network import MAX_LOG_EDGE

Maps = TypeVar("Maps", KerasTensor, np.ndarray)


def split_outputs(outputs: Maps) -> tuple[Maps, Maps, Maps]:
    """(…, 8) to centre logit (…, 1), log distances (…, 4) and state logits (…, 3)."""
    return outputs[..., :1], outputs[..., 1:5], outputs[..., 5:]


def detector_loss(
    targets: KerasTensor, outputs: KerasTensor
) -> tuple[KerasTensor, KerasTensor, KerasTensor, KerasTensor]:
    """Loss of a batch: centres, edges and states, each a mean over the faces.

    Args:
        targets: (n, h, w, 10) from ``train.detector.targets``.
        outputs: (n, h, w, 8) from the network.

    Returns:
        Total, centre, edge and state loss, four scalars.
    """
    outputs = ops.cast(outputs, "float32")
    center, log_edges, state = split_outputs(outputs)
    heat, counts, weight, edges, label = (
        targets[..., :1],
        targets[..., 1:2],
        targets[..., 2:3],
        targets[..., 3:7],
        targets[..., 7:],
    )
    # Focal loss on a Gaussian around each centre (Law and Deng 2018): near misses cost little, easy background nothing.
    is_center = ops.cast(heat >= 0.999, "float32")
    p = ops.sigmoid(center)
    hit = -ops.square(1 - p) * ops.log_sigmoid(center) * is_center
    miss = -((1 - heat) ** 4) * ops.square(p) * ops.log_sigmoid(-center) * (1 - is_center)
    faces = ops.maximum(ops.sum(is_center * counts), 1.0)
    center_loss = ops.sum((hit + miss) * counts) / faces
    weights = ops.maximum(ops.sum(weight), 1e-6)
    edge_loss = ops.sum(giou_loss(edges, ops.exp(ops.clip(log_edges, -3.0, MAX_LOG_EDGE))) * weight) / weights
    known = weight * ops.sum(label, axis=-1, keepdims=True)
    cross_entropy = -ops.sum(label * ops.log_softmax(state, axis=-1), axis=-1, keepdims=True)
    state_loss = ops.sum(cross_entropy * known) / ops.maximum(ops.sum(known), 1e-6)
    return center_loss + 1.5 * edge_loss + state_loss, center_loss, edge_loss, state_loss


def giou_loss(true_edges: KerasTensor, edges: KerasTensor) -> KerasTensor:
    """1 - generalised IoU (Rezatofighi et al. 2019) of boxes around one point, from distances (…, 4) to (…, 1)."""
    left, top, right, bottom = (slice(i, i + 1) for i in range(4))
    low, high = ops.minimum(true_edges, edges), ops.maximum(true_edges, edges)

    def area(distances: KerasTensor) -> KerasTensor:
        return (distances[..., left] + distances[..., right]) * (distances[..., top] + distances[..., bottom])

    both = area(low)
    union = area(true_edges) + area(edges) - both
    around = area(high)
    return 1 - both / ops.maximum(union, 1e-6) + (around - union) / ops.maximum(around, 1e-6)
