"""KubeRay manifests of a run, rendered from its profile so that resources follow the configuration.

`groups` sizes the pods by the plan, `pods` makes their templates, `manifests` the documents.
"""
