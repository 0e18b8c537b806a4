"""A study as one self-contained HTML page: figures gathered into plain JSON values, and the assets that show them."""
