"""What a native build of mmcv-full adds to the portable one: the choice of operators that prove right."""
