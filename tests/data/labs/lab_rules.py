class LabRules:
    """Counts nothing, allows everything: proof that a module of the admin's own is imported."""
    def __init__(self, config, api):
        self.config = config
    @staticmethod
    def parse_config(config):
        return config
