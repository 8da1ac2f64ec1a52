from mckl.figures import Frames
import matplotlib.pyplot as plt
def draw(frames: Frames):
    return plt.figure(), {}
