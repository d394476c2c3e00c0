"""From a slide and a network to a probability map or instances, and from many of them to one prediction."""
