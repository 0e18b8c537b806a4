"""What the three reproductions share: a bench that measures one model, and results that put a paper's figures beside ours."""
