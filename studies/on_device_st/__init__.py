"""On-device Speech Translation (the first paper), Tables 1 to 5 and Figures 1 to 6, made again: `python -m studies.on_device_st`."""
