Feature: Expressions
  Where expressions stand, what they may give, and what is never evaluated.

  Scenario: An expression field is bare or wrapped
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-expression-field-is-bare-or-wrapped, version: '1.0.0' }
    do:
      - bare: { if: .go, set: { a: '${ .n + 1 }', go: true } }
      - wrapped: { if: '${ .go }', set: { b: '${ .a + 1 }' } }
    """
    And given the workflow input is:
    """yaml
    { go: true, n: 1 }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    b: 3
    """

  Scenario: Expression syntax inside input data is never evaluated
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: expression-syntax-inside-input-data-is-never-evalu, version: '1.0.0' }
    do:
      - keep: { set: { text: '${ .text }', list: '${ [.text] }' } }
    """
    And given the workflow input is:
    """yaml
    text: '${ 1 + 1 }'
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    text: '${ 1 + 1 }'
    list: ['${ 1 + 1 }']
    """

  Scenario: An expression inside text is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-expression-inside-text-is-refused, version: '1.0.0' }
    do:
      - greet: { set: { text: 'Hello ${ .name }' } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1023

  Scenario: Text is built in the expression
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: text-is-built-in-the-expression, version: '1.0.0' }
    do:
      - greet: { set: { text: '${ "Hello \(.name)" }' } }
    """
    And given the workflow input is:
    """yaml
    name: Ada
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    text: Hello Ada
    """

  Scenario: Loose mode is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: loose-mode-is-refused, version: '1.0.0' }
    evaluate: { mode: loose }
    do:
      - a: { set: { x: 1 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1104

  Scenario: Another expression language is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: another-expression-language-is-refused, version: '1.0.0' }
    evaluate: { language: javascript }
    do:
      - a: { set: { x: 1 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1103

  Scenario: No result is an expression error
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: no-result-is-an-expression-error, version: '1.0.0' }
    do:
      - none: { set: { x: '${ empty }' } }
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://serverlessworkflow.io/spec/1.0.0/errors/expression
    status: 400
    instance: /do/0/none
    """

  Scenario: More than one result is an expression error
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: more-than-one-result-is-an-expression-error, version: '1.0.0' }
    do:
      - many: { set: { x: '${ .list[] }' } }
    """
    And given the workflow input is:
    """yaml
    list: [1, 2]
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://serverlessworkflow.io/spec/1.0.0/errors/expression
    status: 400
    instance: /do/0/many
    """

  Scenario: A list of results is one value
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-list-of-results-is-one-value, version: '1.0.0' }
    do:
      - many: { set: { x: '${ [.list[] * 2] }' } }
    """
    And given the workflow input is:
    """yaml
    list: [1, 2]
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    x: [2, 4]
    """

  Scenario: Assignment makes the objects that it needs
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: assignment-makes-the-objects-that-it-needs, version: '1.0.0' }
    do:
      - deep: { set: '${ .a.b = 1 }' }
    """
    And given the workflow input is:
    """yaml
    {}
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    a: { b: 1 }
    """

  Scenario: An expression that never ends is an ordinary error
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-expression-that-never-ends-is-an-ordinary-error, version: '1.0.0' }
    do:
      - hang:
          try:
            - loop: { set: { x: '${ last(repeat(1)) }' } }
          catch: { as: err, do: [ { told: { set: { kind: '${ $err.type }' } } } ] }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    kind: https://serverlessworkflow.io/spec/1.0.0/errors/expression
    """

  Scenario: An unknown variable is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-unknown-variable-is-refused, version: '1.0.0' }
    do:
      - a: { set: { x: '${ $nothing }' } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1021

  Scenario: Secrets are refused in expressions
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: secrets-are-refused-in-expressions, version: '1.0.0' }
    use: { secrets: [ shop ] }
    do:
      - a: { set: { x: '${ $secrets.shop }' } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1022

  Scenario: A broken expression is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-broken-expression-is-refused, version: '1.0.0' }
    do:
      - a: { set: { x: '${ .a + }' } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1020
