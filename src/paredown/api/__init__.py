"""The verbs of the command line for programs: what `import paredown` offers, a file for each noun.

Nothing is printed: errors are `BadInput`, as the command line shows them in one line, and what goes on is told to `tell`, if there is one.
Everything heavy (torch, optuna, onnxruntime) is imported by the function that needs it.
"""
