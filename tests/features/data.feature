Feature: Data flow
  Inputs, outputs, the context, and where errors say that they happened.

  Scenario: The context is an empty object at the start
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: the-context-is-an-empty-object-at-the-start, version: '1.0.0' }
    do:
      - look: { set: { context: '${ $context }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    context: {}
    """

  Scenario: An export works on the transformed output and replaces the context
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-export-works-on-the-transformed-output-and-repl, version: '1.0.0' }
    do:
      - first: { set: { a: 1 }, export: { as: '{ first: .a }' } }
      - second: { set: { b: 2 }, output: { as: '{ c: (.b + 1) }' }, export: { as: '{ second: .c }' } }
      - look: { set: '${ $context }' }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    second: 3
    """

  Scenario: An export that names the context keeps it
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-export-that-names-the-context-keeps-it, version: '1.0.0' }
    do:
      - first: { set: { a: 1 }, export: { as: '{ first: .a }' } }
      - second: { set: { b: 2 }, export: { as: '$context + { second: .b }' } }
      - look: { set: '${ $context }' }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    first: 1
    second: 2
    """

  Scenario: The workflow's own input and output are transformed
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: the-workflow-s-own-input-and-output-are-transforme, version: '1.0.0' }
    input: { from: '.numbers' }
    output: { as: '{ result: .sum }' }
    do:
      - add: { set: { sum: '${ .a + .b }' } }
    """
    And given the workflow input is:
    """yaml
    numbers: { a: 1, b: 2 }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    result: 3
    """

  Scenario: A task's input is checked before it is transformed
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-task-s-input-is-checked-before-it-is-transformed, version: '1.0.0' }
    do:
      - add:
          input:
            schema: { document: { type: object, required: [ a ] } }
            from: .a
          set: { x: '${ . }' }
    """
    And given the workflow input is:
    """yaml
    b: 1
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://serverlessworkflow.io/spec/1.0.0/errors/validation
    status: 400
    instance: /do/0/add
    """

  Scenario: A task's output is checked after it is transformed
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-task-s-output-is-checked-after-it-is-transformed, version: '1.0.0' }
    do:
      - add:
          set: { x: 1 }
          output: { as: .x, schema: { document: { type: string } } }
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://serverlessworkflow.io/spec/1.0.0/errors/validation
    status: 400
    instance: /do/0/add
    """

  Scenario: A reference is a JSON Pointer into the document
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-reference-is-a-json-pointer-into-the-document, version: '1.0.0' }
    do:
      - 'a/b~c':
          do:
            - inner: { set: { at: '${ $task.reference }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    at: /do/0/a~1b~0c/do/0/inner
    """

  Scenario: What a task knows of itself and its workflow
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: what-a-task-knows-of-itself-and-its-workflow, version: '1.0.0' }
    do:
      - look: { set: { task: '${ $task.name }', input: '${ $task.input.x }', workflow: '${ $workflow.definition.document.name }', given: '${ $workflow.input.x }' } }
    """
    And given the workflow input is:
    """yaml
    x: 1
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    task: look
    input: 1
    workflow: what-a-task-knows-of-itself-and-its-workflow
    given: 1
    """
