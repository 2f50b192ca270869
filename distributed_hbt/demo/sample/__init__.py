"""The parallel sample that the package carries: well-known facts, said in eight languages of six scripts.

Facts, names and sentence patterns were written for this project by hand (Apache-2.0, as the rest of it).

- `facts.tsv`: relation, subject, object. A (relation, subject) pair occurs once.
- `relations.tsv`: what kind of entity a relation's subject and object are; a `literal` object (`.de`, `26`)
  is written as it stands in every language.
- `entities.tsv`: every entity's name per language, with the inflected forms that the patterns ask for:
  `Германия; gen=Германии; loc=в Германии`.
- `patterns.tsv`: two questions and two answer sentences per relation and language. `{s}` is the subject,
  `{o.loc}` the object in its form `loc`.
"""
