"""What crosses between parties and what may change it: views, knowledge, hooks, triggers, a party's own part."""
