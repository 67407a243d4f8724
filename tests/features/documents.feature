Feature: Documents
  What is refused before anything runs, and how durations are written.

  Scenario: Extensions are refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: extensions-are-refused, version: '1.0.0' }
    use: { extensions: [ { log: { extend: all, before: [ { a: { set: { x: 1 } } } ] } } ] }
    do:
      - a: { set: { x: 1 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1101

  Scenario: Network catalogues are refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: network-catalogues-are-refused, version: '1.0.0' }
    use: { catalogs: { other: { endpoint: 'https://example.com/catalog' } } }
    do:
      - a: { set: { x: 1 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1102

  Scenario: A function of another catalogue is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-function-of-another-catalogue-is-refused, version: '1.0.0' }
    do:
      - a: { call: 'log:1.0.0@other' }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1102

  Scenario: Anchors and aliases are refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: documents, version: '1.0.0' }
    do:
      - a: { set: &x { y: 1 } }
      - b: { set: *x }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1003

  Scenario: Merge keys are refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: documents, version: '1.0.0' }
    do:
      - a: { set: { <<: { y: 1 } } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1003

  Scenario: Tags are refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: tags-are-refused, version: '1.0.0' }
    do:
      - a: { set: { x: !!str 1 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1004

  Scenario: A key twice is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-key-twice-is-refused, version: '1.0.0' }
    do:
      - a: { set: { x: 1, x: 2 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1002

  Scenario: An unknown key is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-unknown-key-is-refused, version: '1.0.0' }
    do:
      - a: { sett: { x: 1 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1010

  Scenario: Two kinds of task are refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: two-kinds-of-task-are-refused, version: '1.0.0' }
    do:
      - a: { set: { x: 1 }, wait: PT1S }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1015

  Scenario: An empty list of tasks is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: documents, version: '1.0.0' }
    do: []
    """
    When the workflow is published
    Then the workflow should be refused with OH-1014

  Scenario: Two kinds of schedule are refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: two-schedules, version: '1.0.0' }
    schedule: { every: PT1H, cron: '0 9 * * *' }
    do:
      - a: { set: { x: 1 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1015

  Scenario: A boolean that is a text is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-boolean-that-is-a-text-is-refused, version: '1.0.0' }
    do:
      - a: { fork: { compete: yes, branches: [ { b: { set: { x: 1 } } } ] } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1012

  Scenario: A schema that does not compile is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-schema-that-does-not-compile-is-refused, version: '1.0.0' }
    input: { schema: { document: { type: nonsense } } }
    do:
      - a: { set: { x: 1 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1035

  Scenario: A schema from elsewhere is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-schema-from-elsewhere-is-refused, version: '1.0.0' }
    input: { schema: { resource: { endpoint: 'https://example.com/schema.json' } } }
    do:
      - a: { set: { x: 1 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1105

  Scenario: Fractional calendar units are refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: fractional-calendar-units-are-refused, version: '1.0.0' }
    do:
      - a: { wait: P1.5D }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1034

  Scenario: Months are refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: months-are-refused, version: '1.0.0' }
    do:
      - a: { wait: P1M }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1034

  Scenario: A version of another language is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '2.0.0', namespace: omnihub, name: documents, version: '1.0.0' }
    do: [ { a: { set: { x: 1 } } } ]
    """
    When the workflow is published
    Then the workflow should be refused with OH-1037

  Scenario: Words that other YAML takes for booleans are texts
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: words-that-other-yaml-takes-for-booleans-are-texts, version: '1.0.0' }
    do:
      - a: { set: { answer: no, switch: on, yes: y } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    answer: 'no'
    switch: 'on'
    'yes': 'y'
    """

  Scenario: Every form of a duration is the same time
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: every-form-of-a-duration-is-the-same-time, version: '1.0.0' }
    do:
      - iso: { wait: PT0.02S }
      - parts: { wait: { milliseconds: 20 } }
      - computed: { wait: '${ "PT0.02S" }' }
      - done: { set: { done: true } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    done: true
    """

  Scenario: A schedule that never comes is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: broken-cron, version: '1.0.0' }
    schedule: { cron: '61 * * * *' }
    do:
      - a: { set: { x: 1 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1043
