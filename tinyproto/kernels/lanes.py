"""How the lanes of a row share out pixels and channels."""

from ..backend import routine


@routine
def spread(t, T, channels):
    """(first, step, channel): where lane t of T begins among pixels of so many channels.

    A lane does the pixels first, first + step, …, and of each the channels channel, channel + T, …
    With fewer channels than lanes, several pixels are done at once; the lanes that are left over
    begin behind every pixel. The only lane of the CPU does them all, in order.
    """
    channels = max(channels, 1)
    if channels >= T:
        return 0, 1, t
    step = T // channels
    first = t // channels
    return (first if first < step else 1 << 30), step, t - first * channels
