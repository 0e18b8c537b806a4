"""Differentiable architecture search: hidden sizes and bottlenecks of feed-forwards, from one supernet and a penalty."""
