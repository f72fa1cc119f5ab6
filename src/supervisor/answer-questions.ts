/** Who on the main thread answers which question of an agent. What nobody answers is refused. */
import { AppError } from '../contract/errors.ts';
import type { HostQuestion, QuestionType } from '../contract/host-link.ts';
import type { ConfigStore } from './config-store/config-store.ts';
import type { AnswerQuestion, AskingAgent } from './host-questions.ts';

export type Answers<T extends QuestionType = QuestionType> = {
  readonly [K in T]: (agent: AskingAgent, question: Extract<HostQuestion, { type: K }>) => Promise<unknown>;
};

type Answer = (agent: AskingAgent, question: HostQuestion) => Promise<unknown>;

export function answerBy(answers: Partial<Answers>): AnswerQuestion {
  return async (agent, question) => {
    const answer = answers[question.type] as Answer | undefined;
    if (answer === undefined) throw new AppError('host.unavailable', `Nobody here answers ${question.type}`);
    return answer(agent, question);
  };
}

export function configAnswers(store: ConfigStore): Answers<Extract<QuestionType, `config.${string}`>> {
  return {
    'config.read': (agent) => store.read(agent),
    'config.replace': (agent, { value, ifMatch = '' }) => store.replace(agent, value, ifMatch),
    'config.patch': (agent, { section, value, ifMatch = '' }) => store.patch(agent, section, value, ifMatch),
    'config.versions': (agent) => store.versions(agent),
    'config.version': (agent, { id }) => store.version(agent, id),
    'config.model': (agent) => store.model(agent),
    'config.restore': (agent, { id, ifMatch = '' }) => store.restore(agent, id, ifMatch),
  };
}
