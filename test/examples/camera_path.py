"""Prints, for each video, the camera's motion from each frame to the next: [dx, dy, radians] at the centre, by OpenCV's corners and tracker."""

import json
import sys

import cv2
import numpy as np


def motions_of(path):
    video = cv2.VideoCapture(path)
    motions, before = [], None
    while True:
        more, frame = video.read()
        if not more:
            break
        gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        if before is not None:
            corners = cv2.goodFeaturesToTrack(before, 300, 0.01, 6)
            moved, found, _ = cv2.calcOpticalFlowPyrLK(before, gray, corners, None)
            kept = found.ravel() == 1
            matrix, _ = cv2.estimateAffinePartial2D(corners[kept], moved[kept], ransacReprojThreshold=1)
            centre = np.array([gray.shape[1] / 2, gray.shape[0] / 2])
            shift = matrix @ [*centre, 1] - centre
            motions.append([*shift, np.arctan2(matrix[1, 0], matrix[0, 0])])
        before = gray
    return motions


print(json.dumps([motions_of(path) for path in sys.argv[1:]]))
